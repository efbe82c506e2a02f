// Behaviour of the engine as its users see it, on the hash backbone and without a thread.
#include "model/engine/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <utility>

#include "model/engine/engine_harness.h"
#include "model/engine/hash_model.h"

namespace dragoman::model {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

SourceWord Word(std::vector<TokenId> tokens, SegmentCut cut = SegmentCut::kNone) {
  return {.tokens = std::move(tokens), .cut = cut};
}

// Three words of one, two and one token, then a second segment of one word.
std::vector<SourceAction> TwoSegments() {
  return ActionsOf({Word({8}), Word({10, 11}), Word({12}, SegmentCut::kBoundary), Word({14, 15})});
}

TEST(EngineTest, EchoedSourceIsCommittedWordByWordWithItsDelays) {
  const TestModel model = MakeHashModel(1, {.script = EchoSource(MakeFakeVocabulary().layout)});

  EXPECT_THAT(DescribeEvents(TranslateAlone(model, "wait-k:1", TwoSegments())),
              ElementsAre("word 1.1 [8] read 1 / 1", "word 1.2 [10 11] read 2 / 2",
                          "word 1.3 [12] read 3 / 3",
                          "segment 1 cut 1 guard 0 client 0 source 3 words 4 tokens up to 3 target "
                          "3 words 4 tokens rows 8 probes 3 waits 3",
                          "word 2.1 [14 15] read 1 / 4",
                          "segment 2 cut 3 guard 0 client 0 source 1 words 2 tokens up to 4 target "
                          "1 words 2 tokens rows 4 probes 1 waits 1",
                          "ended OK"));
}

TEST(EngineTest, SentencePolicyReadsTheWholeSegmentFirst) {
  const TestModel model = MakeHashModel(1, {.script = EchoSource(MakeFakeVocabulary().layout)});

  EXPECT_THAT(DescribeEvents(TranslateAlone(model, "sentence", TwoSegments())),
              ElementsAre("word 1.1 [8] read 3 / 3", "word 1.2 [10 11] read 3 / 3",
                          "word 1.3 [12] read 3 / 3",
                          "segment 1 cut 1 guard 0 client 0 source 3 words 4 tokens up to 3 target "
                          "3 words 4 tokens rows 5 probes 0 waits 0",
                          "word 2.1 [14 15] read 1 / 4",
                          "segment 2 cut 3 guard 0 client 0 source 1 words 2 tokens up to 4 target "
                          "1 words 2 tokens rows 3 probes 0 waits 0",
                          "ended OK"));
}

// Writes 20 22 24; the row that predicts the i-th of them looks at the i-th of `words`, counted
// from 0, as soon as it is visible, else at the newest one.
TestModel LooksAtWords(std::vector<size_t> words) {
  const StreamLayout layout = MakeFakeVocabulary().layout;
  HashBackboneOptions options{.script = FixedTarget(layout, {20, 22, 24})};
  options.attention_script = [layout, words](const HashRowView& row) -> std::optional<size_t> {
    const size_t written = row.target.size() - layout.target_header.size();
    if (written >= words.size()) return std::nullopt;
    return std::min(layout.prompt.size() + words[written], row.source.size() - 1);
  };
  return MakeHashModel(1, std::move(options));
}

std::vector<SourceAction> FourWords() {
  return ActionsOf({Word({8}), Word({10}), Word({12}), Word({14}, SegmentCut::kBoundary)});
}

TEST(EngineTest, AlignAttHoldsBackWhatLooksAtTheLastWords) {
  const auto written = [](const TestModel& model, const std::string& policy) {
    std::vector<uint32_t> read;
    for (const SequenceEvent& event : TranslateAlone(model, policy, FourWords())) {
      if (const auto* word = std::get_if<WordCommitted>(&event)) {
        read.push_back(word->source_words_read);
      }
    }
    return read;
  };
  // Word i is written once f words behind the one it looks at were read.
  EXPECT_THAT(written(LooksAtWords({0, 1, 2}), "align-att:1"), ElementsAre(2, 3, 4));
  EXPECT_THAT(written(LooksAtWords({0, 1, 2}), "align-att:2"), ElementsAre(3, 4, 4));
  EXPECT_THAT(written(LooksAtWords({1, 0, 3}), "align-att:1"), ElementsAre(3, 3, 4));
  EXPECT_THAT(written(LooksAtWords({3, 0, 0}), "align-att:1"), ElementsAre(4, 4, 4));
}

TEST(EngineTest, AlignAttDropsTheBegunWordWithTheToken) {
  const StreamLayout layout = MakeFakeVocabulary().layout;
  HashBackboneOptions options{.script = FixedTarget(layout, {20, 21, 22})};
  // The second token of the first word looks at the second source word.
  options.attention_script = [layout](const HashRowView& row) -> std::optional<size_t> {
    const size_t wanted = row.target.size() == layout.target_header.size() + 1 ? 1 : 0;
    return std::min(layout.prompt.size() + wanted, row.source.size() - 1);
  };
  RecordingSink sink;
  EngineHarness harness(MakeHashModel(1, std::move(options)));
  SequenceOptions sequence = harness.Options("align-att:1");
  sequence.report_partial_words = true;
  harness.SendAll(harness.Open(std::move(sequence), &sink), FourWords());
  harness.Run();

  EXPECT_THAT(
      DescribeEvents(sink.events()),
      ElementsAre("partial 1 [20]", "word 1.1 [20 21] read 3 / 3", "word 1.2 [22] read 3 / 3",
                  ::testing::_, ::testing::_, ::testing::_, ::testing::_));
}

TEST(EngineTest, AlignAttIsRefusedByNameWhereTheModelHasNoHeads) {
  TestModel model = MakeHashModel(1);
  model.attention_heads.clear();
  RecordingSink sink;
  EngineHarness harness(model);

  const absl::Status status = harness.engine().Open(harness.Options("align-att:2"), &sink).status();

  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("align-att:2"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("calibrate-heads"));
  EXPECT_TRUE(harness.engine().Open(harness.Options("wait-k:2"), &sink).ok());
}

TEST(EngineTest, CreateRefusesHeadsThatTheModelDoesNotHave) {
  const TestModel model = MakeHashModel(1);
  SystemClock clock;
  EngineOptions options = EngineHarness::SmallOptions();
  options.attention_heads = {{.layer = 0, .head = 1}};

  const auto engine =
      Engine::Create(options, model.make_backbone(4096), model.traits, &clock, nullptr);

  EXPECT_EQ(engine.status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(EngineTest, G8_RowsOfTheWorkedExampleAreThoseOfTheSpecification) {
  // streaming.md section 2: source of 1, 2 and 2 tokens; target Die | Kat zen | schlaf en . ; k 1.
  const FakeVocabulary vocabulary = MakeFakeVocabulary(64, /*prompt_rows=*/3, /*header_rows=*/1);
  const std::vector<TokenId> target = {20, 22, 23, 24, 25, 27};
  std::map<int32_t, StepRow> kept;  // the last row fed at each position is the one that stays
  int rows = 0;
  HashBackboneOptions options;
  options.script = FixedTarget(vocabulary.layout, target);
  options.on_forward = [&](const StepBatch& batch) {
    for (const StepRow& row : batch.rows) {
      if (row.side == Side::kTarget) kept[row.position] = row, ++rows;
    }
  };
  const TestModel model = MakeHashModel(1, options, vocabulary);
  const std::vector<SourceAction> source =
      ActionsOf({Word({8}), Word({10, 11}), Word({12, 13}, SegmentCut::kBoundary)});
  const auto visible_rows = [&](const std::string& policy) {
    kept.clear();
    rows = 0;
    TranslateAlone(model, policy, source);
    std::vector<int32_t> src_vis;
    for (const auto& [position, row] : kept) src_vis.push_back(row.src_vis);
    return src_vis;
  };

  EXPECT_THAT(visible_rows("wait-k:1"), ElementsAre(1, 3, 3, 5, 5, 5, 6));
  EXPECT_EQ(rows, 7 + 3) << "one probe before each of words 2 and 3 and one before the end";
  EXPECT_THAT(visible_rows("wait-k:2"), ElementsAre(3, 5, 5, 6, 6, 6, 6));
  EXPECT_THAT(visible_rows("sentence"), ElementsAre(6, 6, 6, 6, 6, 6, 6));
  EXPECT_EQ(rows, 7);
  std::vector<TokenId> tokens;
  for (const auto& [position, row] : kept) tokens.push_back(row.token);
  EXPECT_THAT(tokens, ElementsAre(FakeVocabulary::kHeader, 20, 22, 23, 24, 25, 27));
}

TEST(EngineTest, PromptAndHeaderRowsAreKeptBetweenSegments) {
  const FakeVocabulary vocabulary = MakeFakeVocabulary(64, /*prompt_rows=*/4, /*header_rows=*/3);
  std::vector<std::pair<Side, int32_t>> fed;
  HashBackboneOptions options;
  options.script = FixedTarget(vocabulary.layout, {20});
  options.on_forward = [&](const StepBatch& batch) {
    for (const StepRow& row : batch.rows) fed.emplace_back(row.side, row.position);
  };
  const TestModel model = MakeHashModel(1, options, vocabulary);
  RecordingSink sink;
  EngineHarness harness(model);
  const SequenceId id = harness.Open("sentence", &sink);
  const std::vector<SourceAction> segment = ActionsOf({Word({8}, SegmentCut::kBoundary)});
  harness.Send(id, segment, 0, 1);
  harness.Run();
  EXPECT_EQ(fed.size(), 4u + 2 + 3 + 1);
  EXPECT_EQ(harness.engine().backbone().Stats().pages_used, 2u);

  fed.clear();
  harness.Send(id, segment, 0, 1);
  harness.Run();

  EXPECT_THAT(fed, ::testing::UnorderedElementsAre(
                       std::pair(Side::kSource, 4), std::pair(Side::kSource, 5),
                       std::pair(Side::kTarget, 2), std::pair(Side::kTarget, 3)));
}

TEST(EngineTest, FlushIsAnsweredWhenAllThatTheSourceAllowsIsWritten) {
  const TestModel model = MakeHashModel(1, {.script = EchoSource(MakeFakeVocabulary().layout)});
  RecordingSink sink;
  EngineHarness harness(model);
  const SequenceId id = harness.Open("wait-k:2", &sink);
  EXPECT_TRUE(harness.engine().Flush(id, 1).ok());
  harness.Send(id, ActionsOf({Word({8}), Word({10}), Word({12})}), 0, 3);
  EXPECT_TRUE(harness.engine().Flush(id, 2).ok());
  harness.Send(id, ActionsOf({Word({14}, SegmentCut::kBoundary)}), 0, 1);
  EXPECT_TRUE(harness.engine().Flush(id, 3).ok());
  harness.Run();

  EXPECT_THAT(DescribeEvents(sink.events()),
              ElementsAre("flush 1", "word 1.1 [8] read 2 / 2", "word 1.2 [10] read 3 / 3",
                          "flush 2", "word 1.3 [12] read 4 / 4", "word 1.4 [14] read 4 / 4",
                          "segment 1 cut 1 guard 0 client 0 source 4 words 4 tokens up to 4 target "
                          "4 words 4 tokens rows 8 probes 3 waits 0",
                          "flush 3"));
}

TEST(EngineTest, EndSegmentClosesTheOpenSegmentOrSaysThatThereIsNone) {
  const TestModel model = MakeHashModel(1, {.script = EchoSource(MakeFakeVocabulary().layout)});
  RecordingSink sink;
  EngineHarness harness(model);
  const SequenceId id = harness.Open("sentence", &sink);
  Engine& engine = harness.engine();
  EXPECT_TRUE(engine.EndSegment(id, 1).ok());
  harness.Send(id, ActionsOf({Word({8})}), 0, 1);
  EXPECT_TRUE(engine.EndSegment(id, 2).ok());
  EXPECT_TRUE(engine.EndSegment(id, 3).ok());
  EXPECT_TRUE(engine.Finish(id).ok());
  harness.Run();

  EXPECT_THAT(DescribeEvents(sink.events()),
              ElementsAre("nothing to end 1", "word 1.1 [8] read 1 / 1",
                          "segment 1 cut 2 guard 0 client 2 source 1 words 1 tokens up to 1 target "
                          "1 words 1 tokens rows 2 probes 0 waits 0",
                          "nothing to end 3", "ended OK"));
}

TEST(EngineTest, PartialWordsAreSentWhenAskedFor) {
  const TestModel model =
      MakeHashModel(1, {.script = FixedTarget(MakeFakeVocabulary().layout, {8, 9, 10})});
  RecordingSink sink;
  EngineHarness harness(model);
  SequenceOptions options = harness.Options("sentence");
  options.report_partial_words = true;
  harness.SendAll(harness.Open(std::move(options), &sink), ActionsOf({Word({12})}));
  harness.Run();

  const std::vector<std::string> events = DescribeEvents(sink.events());
  ASSERT_GE(events.size(), 5u);
  EXPECT_EQ(
      std::vector<std::string>(events.begin(), events.begin() + 5),
      (std::vector<std::string>{"partial 1 [8]", "partial 1 [8 9]", "word 1.1 [8 9] read 1 / 1",
                                "partial 1 [10]", "word 1.2 [10] read 1 / 1"}));
}

TEST(EngineTest, EagerVisibilitySeesAllThatIsEncoded) {
  const TestModel model = MakeHashModel(1, {.script = EchoSource(MakeFakeVocabulary().layout)});
  const auto first_delay = [&](bool eager) {
    RecordingSink sink;
    EngineHarness harness(model);
    SequenceOptions options = harness.Options("wait-k:1");
    options.eager_visibility = eager;
    harness.SendAll(harness.Open(std::move(options), &sink),
                    ActionsOf({Word({8}), Word({10}), Word({12}), Word({14})}));
    harness.Run();
    EXPECT_TRUE(sink.final_status().ok());
    return sink.Get<WordCommitted>().at(0).source_words_read;
  };
  EXPECT_EQ(first_delay(false), 1u);
  EXPECT_EQ(first_delay(true), 4u);
}

TEST(EngineTest, EagerSequencesEndWellForAnyChunking) {
  for (int n = 0; n < 200; ++n) {
    RandomStream random(3, "eager", 0, n);
    const TestModel model = MakeHashModel(n);
    const std::vector<SourceAction> source =
        RandomSource(model.traits, {.mark_probability = 0.1}, &random);
    EngineOptions engine_options = EngineHarness::SmallOptions();
    engine_options.max_batch_rows = 1 + random.NextBelow(6);
    RecordingSink sink;
    EngineHarness harness(model, engine_options);
    SequenceOptions options = harness.Options("wait-k:2");
    options.eager_visibility = true;
    const SequenceId id = harness.Open(std::move(options), &sink);
    for (size_t i = 0; i < source.size(); ++i) {
      harness.Send(id, source, i, i + 1);
      for (uint64_t steps = random.NextBelow(6); steps > 0; --steps) harness.engine().RunOneStep();
    }
    EXPECT_TRUE(harness.engine().Finish(id).ok());
    harness.Run();
    EXPECT_TRUE(sink.final_status().ok()) << sink.final_status();
    uint32_t words = 0;
    for (const SegmentClosed& segment : sink.Get<SegmentClosed>()) words += segment.source_words;
    EXPECT_EQ(words, WordsOf(source).size());
  }
}

TEST(EngineTest, EagerEchoIsCompleteForAnyChunking) {
  // An end that was predicted before the last words became visible must not end the segment.
  const TestModel model = MakeHashModel(1, {.script = EchoSource(MakeFakeVocabulary().layout)});
  for (int n = 0; n < 200; ++n) {
    SCOPED_TRACE(n);
    RandomStream random(3, "eager echo", 0, n);
    std::vector<SourceWord> words(2 + random.NextBelow(10));
    std::vector<TokenId> sent;
    for (SourceWord& word : words) {
      word.tokens = {static_cast<TokenId>(8 + 2 * random.NextBelow(28)),
                     static_cast<TokenId>(9 + 2 * random.NextBelow(28))};
      if (random.NextBelow(5) == 0) word.cut = SegmentCut::kBoundary;
      sent.insert(sent.end(), word.tokens.begin(), word.tokens.end());
    }
    const std::vector<SourceAction> source = ActionsOf(words);
    RecordingSink sink;
    EngineHarness harness(model);
    SequenceOptions options = harness.Options("wait-k:1");
    options.eager_visibility = true;
    const SequenceId id = harness.Open(std::move(options), &sink);
    for (size_t i = 0; i < source.size(); ++i) {
      harness.Send(id, source, i, i + 1);
      for (uint64_t steps = random.NextBelow(4); steps > 0; --steps) harness.engine().RunOneStep();
    }
    EXPECT_TRUE(harness.engine().Finish(id).ok());
    harness.Run();

    std::vector<TokenId> written;
    for (const WordCommitted& word : sink.Get<WordCommitted>()) {
      written.insert(written.end(), word.tokens.begin(), word.tokens.end());
    }
    EXPECT_EQ(written, sent);
  }
}

TEST(EngineTest, PausedAndResumedEqualsNeverPaused) {
  const TestModel model = MakeHashModel(4);
  RandomStream random(4, "pause");
  const std::vector<SourceAction> source = RandomSource(model.traits, {}, &random);
  const auto expected = DescribeEvents(TranslateAlone(model, "wait-k:2", source));
  RecordingSink sink;
  EngineHarness harness(model);
  const SequenceId id = harness.Open("wait-k:2", &sink);
  harness.SendAll(id, source);
  for (int i = 0; i < 5; ++i) harness.engine().RunOneStep();

  EXPECT_TRUE(harness.engine().SetPaused(id, true).ok());
  EXPECT_EQ(harness.Run(), 0u);
  EXPECT_EQ(harness.engine().stats().slots_used, 1u);
  EXPECT_TRUE(harness.engine().SetPaused(id, false).ok());
  harness.Run();

  EXPECT_EQ(DescribeEvents(sink.events()), expected);
}

TEST(EngineTest, SourceEncodedCountsUpToTheWholeSourceOncePerStep) {
  const TestModel model = MakeHashModel(5);
  RandomStream random(5, "encoded");
  const std::vector<SourceAction> source = RandomSource(model.traits, {}, &random);
  EngineOptions options = EngineHarness::SmallOptions();
  options.max_source_rows = 3;
  const std::vector<SequenceEvent> events = TranslateAlone(model, "wait-k:2", source, options);

  std::vector<SourceEncoded> encoded;
  for (const SequenceEvent& event : events) {
    if (const auto* e = std::get_if<SourceEncoded>(&event)) encoded.push_back(*e);
  }
  size_t tokens = 0;
  for (const SourceWord& word : WordsOf(source)) tokens += word.tokens.size();
  ASSERT_FALSE(encoded.empty());
  for (size_t i = 1; i < encoded.size(); ++i) {
    EXPECT_GT(encoded[i].sequence_words, encoded[i - 1].sequence_words);
    EXPECT_GT(encoded[i].sequence_tokens, encoded[i - 1].sequence_tokens);
  }
  EXPECT_EQ(encoded.back().sequence_words, source.size());
  EXPECT_EQ(encoded.back().sequence_tokens, tokens);
}

// Time passes only inside Forward().
class ForwardClock final : public Clock {
 public:
  TimePoint Now() override { return now; }
  bool WaitUntil(Mutex*, CondVar*, TimePoint, const std::function<bool()>& ready) override {
    return ready();
  }
  TimePoint now{};
};

TEST(EngineTest, SegmentsShareTheTimeOfTheirStepsByRows) {
  ForwardClock clock;
  HashBackboneOptions options;
  int64_t steps = 0;
  options.on_forward = [&](const StepBatch&) {
    clock.now += std::chrono::microseconds(100);
    ++steps;
  };
  const TestModel model = MakeHashModel(6, options);
  std::vector<RecordingSink> sinks(3);
  EngineHarness harness(model, EngineHarness::SmallOptions(), nullptr, &clock);
  RandomStream random(6, "time");
  for (RecordingSink& sink : sinks) {
    harness.SendAll(harness.Open("wait-k:1", &sink), RandomSource(model.traits, {}, &random));
  }
  harness.Run();

  int64_t shares = 0;
  for (const RecordingSink& sink : sinks) {
    for (const SegmentClosed& segment : sink.Get<SegmentClosed>()) shares += segment.compute_ns;
  }
  EXPECT_LE(shares, steps * 100'000);
  EXPECT_GE(shares, steps * (100'000 - 3)) << "each share is rounded down";
}

class StepCounter final : public EngineObserver {
 public:
  void OnStep(const StepFacts& facts) override {
    source_rows += facts.source_rows;
    target_rows += facts.target_rows;
    most_streams = std::max(most_streams, facts.streams);
  }
  void OnSegmentClosed(const SegmentClosed& segment) override {
    decode_rows += segment.decode_rows;
  }
  uint64_t source_rows = 0, target_rows = 0, decode_rows = 0;
  uint32_t most_streams = 0;
};

TEST(EngineTest, ObserverAndStatsSeeEveryRow) {
  const TestModel model = MakeHashModel(7);
  StepCounter counter;
  std::vector<RecordingSink> sinks(4);
  EngineHarness harness(model, EngineHarness::SmallOptions(), &counter);
  RandomStream random(7, "observer");
  size_t source_tokens = 0, segments = 0;
  for (RecordingSink& sink : sinks) {
    const std::vector<SourceAction> source = RandomSource(model.traits, {}, &random);
    for (const SourceWord& word : WordsOf(source)) source_tokens += word.tokens.size();
    harness.SendAll(harness.Open("wait-k:1", &sink), source);
  }
  harness.Run();
  for (const RecordingSink& sink : sinks) segments += sink.Get<SegmentClosed>().size();

  EXPECT_EQ(counter.source_rows, source_tokens + segments + 4 * model.layout.prompt.size());
  EXPECT_EQ(counter.target_rows, counter.decode_rows);
  EXPECT_EQ(counter.most_streams, 4u);
  const EngineStats stats = harness.engine().stats();
  EXPECT_EQ(stats.source_tokens, counter.source_rows);
  EXPECT_EQ(stats.target_tokens, counter.target_rows);
  EXPECT_EQ(stats.slots, 4u);
  EXPECT_EQ(stats.slots_used, 0u);
  EXPECT_EQ(stats.cache.pages_used, 0u);
}

// Sums over steps; `skips` of a step without rows that could skip must not come.
class SkipCounter final : public EngineObserver {
 public:
  void OnStep(const StepFacts& facts) override {
    for (const auto& side : facts.modules_skipped) modules_skipped += side[0] + side[1];
    EXPECT_EQ(facts.skips == nullptr, facts.routing == nullptr);
    ++(facts.skips == nullptr ? dense_steps : routed_steps);
    if (facts.skips == nullptr) return;
    for (const uint32_t skipped : facts.skips->skipped) rows_skipped += skipped;
    EXPECT_GT(facts.skips->rows[0] + facts.skips->rows[1], 0u);
    EXPECT_EQ(facts.skips->active_layers[0], 1u);
    module_calls +=
        facts.routing->calls(ExecPath::kGather) + facts.routing->calls(ExecPath::kEmpty);
  }
  uint64_t dense_steps = 0, routed_steps = 0, modules_skipped = 0, rows_skipped = 0;
  uint64_t module_calls = 0;
};

TEST(EngineTest, ObserversSeeWhatRoutedStepsSkippedAndNothingOfOthers) {
  HashBackbone* backbone = nullptr;
  TestModel model = MakeHashModel(12, {.skips_mlp = true});
  const auto make = model.make_backbone;
  model.make_backbone = [&](size_t pages) {
    std::unique_ptr<Backbone> made = make(pages);
    backbone = static_cast<HashBackbone*>(made.get());
    return made;
  };
  SkipCounter counter;
  RecordingSink dense, routed, failed;
  EngineHarness harness(model, EngineHarness::SmallOptions(), &counter);
  const std::vector<SourceAction> source = ActionsOf({Word({8}), Word({10, 11}), Word({12})});
  harness.SendAll(harness.Open("wait-k:1", &dense), source);
  harness.Run();
  EXPECT_EQ(counter.routed_steps, 0u);
  EXPECT_GT(counter.dense_steps, 0u);

  SequenceOptions options = harness.Options("wait-k:1");
  options.routed = true;
  harness.SendAll(harness.Open(options, &routed), source);
  harness.Run();

  uint64_t of_segments = 0;
  for (const SegmentClosed& segment : routed.Get<SegmentClosed>()) {
    of_segments += segment.modules_skipped;
  }
  EXPECT_GT(of_segments, 0u);
  EXPECT_EQ(counter.rows_skipped, of_segments);
  EXPECT_EQ(counter.modules_skipped, of_segments);
  EXPECT_EQ(counter.module_calls, counter.routed_steps);

  // A step that fails skipped nothing.
  const uint64_t routed_steps = counter.routed_steps;
  harness.SendAll(harness.Open(options, &failed), source);
  backbone->FailNextForwards(1);
  harness.Run();
  EXPECT_EQ(failed.final_status().code(), absl::StatusCode::kInternal);
  EXPECT_EQ(counter.routed_steps, routed_steps);
  EXPECT_EQ(counter.modules_skipped, of_segments);
}

// ---------------------------------------------------------------- refusals and faults

TEST(EngineTest, H7_SourceAfterFinishIsRefused) {
  const TestModel model = MakeHashModel(8);
  RecordingSink sink;
  EngineHarness harness(model);
  Engine& engine = harness.engine();
  const SequenceId id = harness.Open("wait-k:1", &sink);
  EXPECT_TRUE(engine.Append(id, {Word({8})}).ok());
  EXPECT_TRUE(engine.Finish(id).ok());

  EXPECT_EQ(engine.Append(id, {Word({8})}).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(engine.Finish(id).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(engine.Flush(id, 1).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(engine.EndSegment(id, 1).code(), absl::StatusCode::kFailedPrecondition);
  harness.Run();
  EXPECT_TRUE(sink.final_status().ok());
  EXPECT_EQ(sink.Get<SegmentClosed>().at(0).source_words, 1u);

  EXPECT_EQ(engine.Append(id, {Word({8})}).code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(engine.Finish(id).code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(engine.SetPaused(id, true).code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(engine.Remove(id, absl::CancelledError(""), false).code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(engine.Remove(4711, absl::CancelledError(""), false).code(),
            absl::StatusCode::kNotFound);
}

TEST(EngineTest, AnEmptySequenceEndsWithoutASegment) {
  const TestModel model = MakeHashModel(8);
  RecordingSink sink;
  EngineHarness harness(model);
  harness.SendAll(harness.Open("sentence", &sink), {});
  harness.Run();
  EXPECT_THAT(DescribeEvents(sink.events()), ElementsAre("ended OK"));
}

TEST(EngineTest, H8_LogitsThatAreNotFiniteEndThatSequenceOnly) {
  constexpr TokenId kPoison = 7;  // suppressed, so no other target can contain it
  const TestModel model = MakeHashModel(9, {.poison_token = kPoison});
  const auto clean_source = [&](int n) {
    RandomStream random(9, "clean", 0, n);
    return RandomSource(model.traits, {}, &random);
  };
  std::vector<RecordingSink> sinks(4);
  EngineHarness harness(model);
  for (int i = 0; i < 4; ++i) {
    std::vector<SourceAction> source = clean_source(i);
    if (i == 2) source[7].word.tokens = {kPoison};
    harness.SendAll(harness.Open("wait-k:1", &sinks[i]), source);
  }
  harness.Run();

  for (int i = 0; i < 4; ++i) {
    if (i == 2) continue;
    EXPECT_EQ(DescribeEvents(sinks[i].events()),
              DescribeEvents(TranslateAlone(model, "wait-k:1", clean_source(i))));
  }
  EXPECT_EQ(sinks[2].final_status().code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(sinks[2].final_status().message()), HasSubstr("COMPUTE_FAULT"));
  EXPECT_EQ(sinks[2].Get<SegmentClosed>().back().cut, SegmentCut::kNone);
  EXPECT_EQ(harness.engine().stats().cache.pages_used, 0u);
  EXPECT_EQ(harness.engine().stats().slots_used, 0u);
}

TEST(EngineTest, AFailedStepEndsItsSequencesAndTheEngineGoesOn) {
  HashBackbone* backbone = nullptr;
  TestModel model = MakeHashModel(10);
  const auto make = model.make_backbone;
  model.make_backbone = [&](size_t pages) {
    std::unique_ptr<Backbone> made = make(pages);
    backbone = static_cast<HashBackbone*>(made.get());
    return made;
  };
  RecordingSink first, idle, later;
  EngineHarness harness(model);
  const SequenceId idle_id = harness.Open("wait-k:1", &idle);
  harness.Run();  // its prompt is encoded; it plans nothing from now on
  harness.SendAll(harness.Open("wait-k:1", &first), ActionsOf({Word({8}), Word({10})}));
  backbone->FailNextForwards(1);
  harness.Run();

  EXPECT_EQ(first.final_status().code(), absl::StatusCode::kInternal);
  EXPECT_FALSE(idle.ended());
  harness.SendAll(idle_id, ActionsOf({Word({8})}));
  harness.SendAll(harness.Open("wait-k:1", &later), ActionsOf({Word({8})}));
  harness.Run();
  EXPECT_TRUE(idle.final_status().ok());
  EXPECT_TRUE(later.final_status().ok());
  EXPECT_EQ(harness.engine().stats().cache.pages_used, 0u);
}

TEST(EngineTest, OpenRefusesWhenAllSlotsAreTakenAndLayoutsThatDoNotFit) {
  const TestModel model = MakeHashModel(11, {.max_positions = 32});
  RecordingSink sink;
  EngineHarness harness(model);
  Engine& engine = harness.engine();
  const auto open_with = [&](const std::function<void(SequenceOptions*)>& change) {
    SequenceOptions options = harness.Options("wait-k:1");
    change(&options);
    return engine.Open(std::move(options), &sink).status();
  };
  const auto refused = absl::StatusCode::kInvalidArgument;
  EXPECT_EQ(open_with([](auto* o) { o->policy = nullptr; }).code(), refused);
  EXPECT_EQ(open_with([](auto* o) { o->layout.prompt.clear(); }).code(), refused);
  EXPECT_EQ(open_with([](auto* o) { o->layout.source_end.clear(); }).code(), refused);
  EXPECT_EQ(open_with([](auto* o) { o->layout.target_header.clear(); }).code(), refused);
  EXPECT_EQ(open_with([](auto* o) { o->layout.prompt = {64}; }).code(), refused);
  EXPECT_EQ(open_with([](auto* o) { o->layout.prompt = {-1}; }).code(), refused);
  EXPECT_EQ(open_with([](auto* o) { o->layout.end_of_target = 1; }).code(), refused);
  EXPECT_EQ(open_with([](auto* o) { o->layout.phi = -1; }).code(), refused);
  EXPECT_EQ(open_with([](auto* o) { o->layout.phi = 30; }).code(), refused);
  EXPECT_EQ(open_with([](auto* o) { o->layout.prompt.assign(31, 1); }).code(), refused);
  EXPECT_EQ(engine.stats().slots_used, 0u);

  for (int i = 0; i < 4; ++i) EXPECT_TRUE(open_with([](auto* o) { o->layout.phi = 29; }).ok());
  EXPECT_EQ(open_with([](auto*) {}).code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(engine.stats().slots_used, 4u);
}

TEST(EngineTest, AppendRefusesBadWordsAndTooManyPendingOnes) {
  const TestModel model = MakeHashModel(12);
  EngineOptions options = EngineHarness::SmallOptions();
  options.max_pending_words = 5;
  RecordingSink sink;
  EngineHarness harness(model, options);
  Engine& engine = harness.engine();
  const SequenceId id = harness.Open("wait-k:1", &sink);
  EXPECT_EQ(engine.Append(id, {Word({})}).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(engine.Append(id, {Word({8, 64})}).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(engine.Append(id, {Word({-1})}).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(engine.Append(id, std::vector<SourceWord>(6, Word({8}))).code(),
            absl::StatusCode::kResourceExhausted);

  EXPECT_TRUE(engine.Append(id, std::vector<SourceWord>(4, Word({8}))).ok());
  EXPECT_TRUE(engine.Flush(id, 1).ok());
  EXPECT_EQ(engine.Append(id, {Word({8})}).code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(engine.Flush(id, 2).code(), absl::StatusCode::kResourceExhausted);
  harness.Run();
  EXPECT_TRUE(engine.Append(id, std::vector<SourceWord>(5, Word({8}))).ok());
}

TEST(EngineTest, H5_EmptyAppendsTakeNoMemoryAndNoStep) {
  const TestModel model = MakeHashModel(12);
  RecordingSink sink;
  EngineHarness harness(model);
  const SequenceId id = harness.Open("wait-k:1", &sink);
  harness.Run();
  for (int i = 0; i < 1'000'000; ++i) ASSERT_TRUE(harness.engine().Append(id, {}).ok());
  EXPECT_FALSE(harness.engine().RunOneStep());
  harness.SendAll(id, {});
  harness.Run();
  EXPECT_THAT(DescribeEvents(sink.events()), ElementsAre("ended OK"));
}

TEST(EngineTest, CreateRefusesAPoolThatCannotHoldAllSlots) {
  const TestModel model = MakeHashModel(13, {.max_positions = 64});
  SystemClock clock;
  EngineOptions options;
  options.max_sequences = 8;
  const size_t needed = PagesForSlots(8, 64, 64);
  EXPECT_EQ(needed, 64u);
  EXPECT_EQ(PagesForSlots(3, 17, 1), 9u);

  EXPECT_TRUE(
      Engine::Create(options, model.make_backbone(needed), model.traits, &clock, nullptr).ok());
  const auto engine =
      Engine::Create(options, model.make_backbone(needed - 1), model.traits, &clock, nullptr);
  ASSERT_EQ(engine.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(engine.status().message()), HasSubstr("64 KV pages, the pool has 63"));
}

TEST(EngineTest, CreateRefusesBadOptionsAndTraitsOfAnotherSize) {
  const TestModel model = MakeHashModel(13, {.max_positions = 64});
  SystemClock clock;
  const auto create = [&](const std::function<void(EngineOptions*)>& change, TokenTraits traits) {
    EngineOptions options = EngineHarness::SmallOptions();
    change(&options);
    return Engine::Create(options, model.make_backbone(64), std::move(traits), &clock, nullptr)
        .status()
        .code();
  };
  const auto refused = absl::StatusCode::kInvalidArgument;
  EXPECT_EQ(create([](auto*) {}, model.traits), absl::StatusCode::kOk);
  EXPECT_EQ(create([](auto*) {}, TokenTraits{}), refused);
  EXPECT_EQ(create([](auto* o) { o->max_sequences = 0; }, model.traits), refused);
  EXPECT_EQ(create([](auto* o) { o->max_batch_rows = 0; }, model.traits), refused);
  EXPECT_EQ(create([](auto* o) { o->max_source_rows = 0; }, model.traits), refused);
  EXPECT_EQ(create([](auto* o) { o->max_pending_words = 0; }, model.traits), refused);
  EXPECT_EQ(create([](auto* o) { o->max_word_tokens = 0; }, model.traits), refused);
  EXPECT_EQ(create([](auto* o) { o->max_words_ahead = 0; }, model.traits), refused);
  EXPECT_EQ(create([](auto* o) { o->target_slack_tokens = -1; }, model.traits), refused);
  EXPECT_EQ(create([](auto* o) { o->source_capacity = -1; }, model.traits), refused);
}

TEST(EngineTest, StopWithoutAThreadEndsOpenSequencesToo) {
  const TestModel model = MakeHashModel(14);
  RecordingSink working, opened;
  EngineHarness harness(model);
  const SequenceId id = harness.Open("wait-k:1", &working);
  EXPECT_TRUE(harness.engine().Append(id, {Word({8}), Word({10})}).ok());
  harness.engine().RunOneStep();
  harness.Open("wait-k:1", &opened);  // no step has seen it yet

  harness.engine().Stop();

  EXPECT_EQ(working.final_status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(working.Get<SegmentClosed>().size(), 1u);
  EXPECT_EQ(opened.final_status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(harness.engine().Append(id, {Word({8})}).code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(harness.engine().Open(harness.Options("sentence"), &opened).status().code(),
            absl::StatusCode::kUnavailable);
  EXPECT_EQ(harness.engine().stats().cache.pages_used, 0u);
}

}  // namespace
}  // namespace dragoman::model
