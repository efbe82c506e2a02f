// The engine with its own thread and clients on others.
#include <gtest/gtest.h>

#include <thread>

#include "model/engine/engine.h"
#include "model/engine/engine_harness.h"
#include "model/engine/hash_model.h"

namespace dragoman::model {
namespace {

constexpr int kClients = 4;
constexpr int kSequencesPerClient = 16;

// One sequence of the load test: what is sent and when it is cancelled.
struct Conversation {
  std::vector<SourceAction> source;
  std::string policy;
  bool cancelled = false;
  RecordingSink sink;
  SequenceId id = 0;
};

// Sends all conversations of one client in random chunks, interleaved; some are cancelled midway.
void RunClient(EngineHarness* harness, std::span<std::unique_ptr<Conversation>> conversations,
               RandomStream random) {
  std::vector<size_t> sent(conversations.size(), 0);
  for (auto& conversation : conversations) {
    conversation->id = harness->Open(conversation->policy, &conversation->sink);
  }
  std::vector<size_t> active(conversations.size());
  for (size_t i = 0; i < active.size(); ++i) active[i] = i;
  while (!active.empty()) {
    const size_t pick = random.NextBelow(active.size());
    const size_t at = active[pick];
    Conversation& conversation = *conversations[at];
    const size_t end = std::min(conversation.source.size(), sent[at] + 1 + random.NextBelow(5));
    harness->Send(conversation.id, conversation.source, sent[at], end);
    sent[at] = end;
    bool over = end == conversation.source.size();
    if (conversation.cancelled && (over || random.NextBelow(3) == 0)) {
      EXPECT_TRUE(
          harness->engine()
              .Remove(conversation.id, absl::CancelledError("client"), random.NextBelow(2) == 0)
              .ok());
      over = true;
    } else if (over) {
      EXPECT_TRUE(harness->engine().Finish(conversation.id).ok());
    } else if (random.NextBelow(8) == 0) {
      EXPECT_TRUE(harness->engine().SetPaused(conversation.id, true).ok());
      EXPECT_TRUE(harness->engine().SetPaused(conversation.id, false).ok());
    }
    if (over) active.erase(active.begin() + static_cast<std::ptrdiff_t>(pick));
  }
}

TEST(EngineThreadTest, SixtyFourSequencesWithRandomChunksAndCancelsEndConsistently) {
  const TestModel model = MakeHashModel(20, {.end_probability = 0.15});
  std::vector<std::unique_ptr<Conversation>> conversations;
  for (int i = 0; i < kClients * kSequencesPerClient; ++i) {
    RandomStream random(20, "conversation", 0, i);
    auto conversation = std::make_unique<Conversation>();
    conversation->source =
        RandomSource(model.traits, {.words = 24, .mark_probability = 0.05}, &random);
    conversation->policy = i % 5 == 0 ? "sentence" : absl::StrCat("wait-k:", i % 5);
    conversation->cancelled = i % 4 == 3;
    conversations.push_back(std::move(conversation));
  }
  EngineOptions options;
  options.max_sequences = conversations.size();
  options.max_batch_rows = 100;
  options.max_source_rows = 40;
  EngineHarness harness(model, options);
  harness.engine().Start();

  std::vector<std::thread> clients;
  for (int c = 0; c < kClients; ++c) {
    clients.emplace_back(
        RunClient, &harness,
        std::span(conversations).subspan(c * kSequencesPerClient, kSequencesPerClient),
        RandomStream(20, "client", 0, c));
  }
  for (std::thread& client : clients) client.join();
  for (auto& conversation : conversations) conversation->sink.WaitUntilEnded();
  harness.engine().Stop();

  for (size_t i = 0; i < conversations.size(); ++i) {
    SCOPED_TRACE(absl::StrCat("sequence ", i));
    const Conversation& conversation = *conversations[i];
    const std::vector<std::string> alone =
        DescribeEvents(TranslateAlone(model, conversation.policy, conversation.source));
    if (conversation.cancelled) {
      EXPECT_EQ(conversation.sink.final_status().code(), absl::StatusCode::kCancelled);
      // What was committed until then is the beginning of the whole.
      const auto words = DescribeWords(conversation.sink.events());
      const auto all =
          DescribeWords(TranslateAlone(model, conversation.policy, conversation.source));
      ASSERT_LE(words.size(), all.size());
      EXPECT_TRUE(std::equal(words.begin(), words.end(), all.begin()));
    } else {
      EXPECT_EQ(DescribeEvents(conversation.sink.events()), alone);
    }
  }
  const EngineStats stats = harness.engine().stats();
  EXPECT_EQ(stats.slots_used, 0u);
  EXPECT_EQ(stats.cache.pages_used, 0u);
  EXPECT_EQ(stats.cache.open_streams, 0u);
}

TEST(EngineThreadTest, StopEndsOpenSequencesAndRefusesNewOnes) {
  const TestModel model = MakeHashModel(21);
  RecordingSink finished, waiting;
  EngineHarness harness(model);
  harness.engine().Start();
  harness.SendAll(harness.Open("wait-k:1", &finished), ActionsOf({{{8}, SegmentCut::kNone}}));
  const SequenceId id = harness.Open("sentence", &waiting);
  EXPECT_TRUE(harness.engine().Append(id, {{{8}, SegmentCut::kNone}}).ok());
  finished.WaitUntilEnded();

  harness.engine().Stop();

  EXPECT_TRUE(finished.final_status().ok());
  EXPECT_EQ(waiting.final_status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(harness.engine().Open(harness.Options("sentence"), &waiting).status().code(),
            absl::StatusCode::kUnavailable);
  EXPECT_EQ(harness.engine().stats().cache.pages_used, 0u);
}

TEST(EngineThreadTest, DestructionStopsTheThread) {
  const TestModel model = MakeHashModel(22);
  RecordingSink sink;
  {
    EngineHarness harness(model);
    harness.engine().Start();
    const SequenceId id = harness.Open("wait-k:1", &sink);
    EXPECT_TRUE(harness.engine().Append(id, {{{8, 9}, SegmentCut::kNone}}).ok());
  }
  EXPECT_EQ(sink.final_status().code(), absl::StatusCode::kUnavailable);
}

TEST(EngineThreadTest, AnIdleEngineTakesNoSteps) {
  const TestModel model = MakeHashModel(23);
  RecordingSink first, second;
  EngineHarness harness(model);
  harness.engine().Start();
  harness.SendAll(harness.Open("wait-k:1", &first), {});
  first.WaitUntilEnded();
  const uint64_t steps = harness.engine().stats().steps;

  // Woken by commands only: a sequence without words encodes its prompt and nothing else.
  harness.SendAll(harness.Open("wait-k:1", &second), {});
  second.WaitUntilEnded();
  harness.engine().Stop();

  EXPECT_LE(harness.engine().stats().steps, steps + 1);
}

}  // namespace
}  // namespace dragoman::model
