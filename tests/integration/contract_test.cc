// What the contract promises about every session: V1, V2, V5, V6, V7, V11.
#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/integration/stream_client.h"
#include "tests/integration/test_server.h"

namespace dragoman::testing {
namespace {

constexpr size_t kThreads = 16;

std::string RandomPolicy(RandomStream* random) {
  switch (random->NextBelow(10)) {
    case 0:
    case 1:
      return "sentence";
    case 2:
      return absl::StrCat("adaptive:0.", 1 + random->NextBelow(9), ":", 1 + random->NextBelow(2),
                          ":", 3 + random->NextBelow(4));
    case 3:
      return absl::StrCat("local-agreement:2:", 1 + random->NextBelow(2));
    case 4:
      return absl::StrCat("align-att:", 1 + random->NextBelow(4));
    case 5:
      return absl::StrCat("wait-k:", 1 + random->NextBelow(4), ":", 1 + random->NextBelow(3), ":0.",
                          random->NextBelow(6));
    default:
      return absl::StrCat("wait-k:", 1 + random->NextBelow(8));
  }
}

v1::StreamConfig RandomConfig(RandomStream* random) {
  v1::StreamConfig config = MakeConfig(RandomPolicy(random));
  if (random->NextBelow(3) == 0) config.set_segment_mode(v1::SEGMENT_CLIENT);
  config.mutable_text_input()->set_newline_is_boundary(random->NextBelow(3) == 0);
  v1::OutputOptions& output = *config.mutable_output();
  output.set_word_stamps(random->NextBelow(2) == 0);
  output.set_unstable_tail(random->NextBelow(3) == 0);
  output.set_model_stats(random->NextBelow(2) == 0);
  if (random->NextBelow(8) == 0) output.set_min_event_interval_ms(20);
  return config;
}

// Random text in random chunks with flushes and segment ends between them.
std::vector<v1::StreamRequest> RandomRequests(RandomStream* random) {
  std::vector<v1::StreamRequest> requests;
  uint32_t id = 0;
  const std::string text = RandomText(random, random->NextBelow(40));
  for (v1::StreamRequest& chunk : RandomChunks(random, text)) {
    requests.push_back(std::move(chunk));
    if (random->NextBelow(8) == 0) requests.push_back(FlushRequest(++id));
    if (random->NextBelow(10) == 0) requests.push_back(EndSegmentRequest(++id));
    if (random->NextBelow(20) == 0) requests.emplace_back().mutable_heartbeat();
  }
  return requests;
}

TEST(ContractTest, V1_InvariantsHoldInRandomSessions) {
  constexpr size_t kSessions = 10000;
  const uint64_t seed = TestSeed();
  TestServer server;
  std::vector<std::unique_ptr<v1::Interpreter::Stub>> stubs;
  for (size_t i = 0; i < 4; ++i) stubs.push_back(server.NewStub());

  RunParallel(kSessions, kThreads, [&](size_t index) {
    RandomStream random(seed, "v1", 0, index);
    const v1::StreamConfig config = RandomConfig(&random);
    const auto requests = RandomRequests(&random);
    const SessionResult result = RunSession(stubs[index % stubs.size()].get(), config, requests);
    EXPECT_TRUE(result.status.ok()) << index << ": " << result.status.error_message();
    EXPECT_EQ(BrokenInvariant(config, requests, result), "") << "session " << index;
  });

  EXPECT_EQ(server.logger().lines("session_end").size(), kSessions);
  for (const auto& line : server.logger().lines("engine_refused_source")) {
    ADD_FAILURE() << line.at("status");
  }
  server.ExpectConsistentAtRest();
}

TEST(ContractTest, V2_AnyChunkingGivesTheSameFinals) {
  constexpr size_t kTexts = 500;
  const uint64_t seed = TestSeed();
  TestServer server;
  const auto stub = server.NewStub();

  RunParallel(kTexts, kThreads, [&](size_t index) {
    RandomStream random(seed, "v2", 0, index);
    const std::string text = RandomText(&random, 5 + random.NextBelow(30));
    std::vector<v1::StreamRequest> by_point, by_word, by_line, whole;
    std::string word, line;
    for (const std::string& point : CodePoints(text)) {
      by_point.push_back(TextRequest(point));
      word += point;
      line += point;
      if (point == " ") by_word.push_back(TextRequest(std::exchange(word, "")));
      if (point == "\n") by_line.push_back(TextRequest(std::exchange(line, "")));
    }
    by_word.push_back(TextRequest(word));
    by_line.push_back(TextRequest(line));
    whole.push_back(TextRequest(text));
    for (const char* policy : {"wait-k:3", "sentence"}) {
      const v1::StreamConfig config = MakeConfig(policy);
      const SessionResult expected = RunSession(stub.get(), config, whole);
      ASSERT_TRUE(expected.status.ok());
      for (const auto* requests : {&by_point, &by_word, &by_line}) {
        const SessionResult result = RunSession(stub.get(), config, *requests);
        EXPECT_TRUE(result.status.ok()) << result.status.error_message();
        EXPECT_EQ(result.finals(), expected.finals())
            << index << " " << policy << " in " << requests->size() << " chunks: " << text;
      }
    }
  });
  server.ExpectConsistentAtRest();
}

TEST(ContractTest, V5_WaitKNeverWritesAheadOfItsSchedule) {
  constexpr size_t kSessions = 250;
  const uint64_t seed = TestSeed();
  TestServerOptions options;
  options.hash.end_probability = 0.02;
  TestServer server(options);
  const auto stub = server.NewStub();
  std::atomic<size_t> checked{0};

  RunParallel(kSessions, kThreads, [&](size_t index) {
    RandomStream random(seed, "v5", 0, index);
    const uint32_t k = 1 + static_cast<uint32_t>(random.NextBelow(9));
    v1::StreamConfig config = MakeConfig(absl::StrCat("wait-k:", k));
    config.mutable_output()->set_word_stamps(true);
    const auto requests = RandomChunks(&random, RandomText(&random, 400));
    const SessionResult result = RunSession(stub.get(), config, requests);
    ASSERT_EQ(BrokenInvariant(config, requests, result), "");
    for (const v1::StreamEvent& event : result.events) {
      if (!event.has_segment_final()) continue;
      const v1::SegmentFinal& final_event = event.segment_final();
      const uint32_t begin = final_event.source_begin().words();
      const uint32_t all = final_event.source_end().words() - begin;
      for (int i = 1; i <= final_event.words_size(); ++i) {
        const uint32_t read = final_event.words(i - 1).read_words() - begin;
        EXPECT_GE(read, std::min(k + static_cast<uint32_t>(i) - 1, all)) << "word " << i;
        EXPECT_LE(read, all);
        ++checked;
      }
    }
  });
  EXPECT_GE(checked.load(), 100000u);
}

TEST(ContractTest, V6_NoWordLagsMoreThanTheBoundAndForcedOnesAreCountedAlike) {
  constexpr size_t kSessions = 200;
  const uint64_t seed = TestSeed();
  TestServer server;
  const auto stub = server.NewStub();
  std::atomic<uint64_t> forced{0}, noticed{0}, segments{0};

  RunParallel(kSessions, kThreads, [&](size_t index) {
    RandomStream random(seed, "v6", 0, index);
    const uint32_t bound = 1 + static_cast<uint32_t>(random.NextBelow(6));
    v1::StreamConfig config = MakeConfig(RandomPolicy(&random));
    config.set_max_lag_words(bound);
    config.mutable_output()->set_word_stamps(true);
    config.mutable_output()->set_model_stats(true);
    const auto requests = RandomChunks(&random, RandomText(&random, 100));
    const SessionResult result = RunSession(stub.get(), config, requests);
    ASSERT_EQ(BrokenInvariant(config, requests, result), "");
    for (const v1::StreamEvent& event : result.events) {
      noticed += event.has_notice() && event.notice().code() == v1::NOTICE_LAG_FORCED;
      if (!event.has_segment_final()) continue;
      const v1::SegmentFinal& final_event = event.segment_final();
      for (int i = 0; i < final_event.words_size(); ++i) {
        const uint32_t read =
            final_event.words(i).read_words() - final_event.source_begin().words();
        EXPECT_LE(read, static_cast<uint32_t>(i) + bound + 1) << "word " << i + 1;
      }
      forced += final_event.stats().forced_writes();
      segments += final_event.stats().forced_writes() > 0;
    }
  });

  EXPECT_GT(forced.load(), kSessions);
  EXPECT_EQ(noticed.load(), segments.load());
  EXPECT_TRUE(server.WaitAtRest());
  EXPECT_EQ(server.Metric("dragoman_forced_writes_total", "cause=\"max_lag\""),
            static_cast<double>(forced.load()));
}

TEST(ContractTest, V7_FlushIsAnsweredOnceAndQuickly) {
  TestServer server;
  const auto stub = server.NewStub();
  StreamClient client(stub.get(), MakeConfig("wait-k:2"));
  client.ReadUntil([](const v1::StreamEvent& event) { return event.has_started(); });

  for (uint32_t id = 1; id <= 100; ++id) {
    client.Text(id % 3 == 0 ? "one more sentence. " : "half a wo");
    const auto begin = std::chrono::steady_clock::now();
    client.Write(FlushRequest(id));
    const v1::StreamEvent done =
        client.ReadUntil([](const v1::StreamEvent& event) { return event.has_flush_done(); });
    EXPECT_EQ(done.flush_done().id(), id);
    EXPECT_LE(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(500));
  }
  client.HalfClose();
  EXPECT_TRUE(client.Finish().ok());
}

TEST(ContractTest, V7_EndSegmentGivesOneFinalWithItsId) {
  TestServer server;
  const auto stub = server.NewStub();
  v1::StreamConfig config = MakeConfig("wait-k:2");
  config.set_segment_mode(v1::SEGMENT_CLIENT);
  constexpr uint32_t kSegments = 1000;
  std::vector<v1::StreamRequest> requests;
  for (uint32_t id = 1; id <= kSegments; ++id) {
    requests.push_back(TextRequest(id % 2 == 0 ? "some words" : "a word or two. "));
    requests.push_back(EndSegmentRequest(id));
  }

  const SessionResult result = RunSession(stub.get(), config, requests);

  ASSERT_EQ(BrokenInvariant(config, requests, result), "");
  uint32_t next = 1;
  for (const v1::StreamEvent& event : result.events) {
    if (!event.has_segment_final()) continue;
    EXPECT_EQ(event.segment_final().client_id(), next);
    EXPECT_EQ(event.segment_final().reason(), v1::FINAL_CLIENT);
    ++next;
  }
  EXPECT_EQ(next, kSegments + 1);
}

TEST(ContractTest, V7_EndSegmentWithNothingOpenGivesFlushDone) {
  TestServer server;
  const auto stub = server.NewStub();
  const SessionResult result =
      RunSession(stub.get(), MakeConfig(),
                 {EndSegmentRequest(7), TextRequest("A sentence. "), EndSegmentRequest(8)});
  ASSERT_TRUE(result.status.ok());
  std::vector<uint32_t> ids;
  for (const v1::StreamEvent& event : result.events) {
    if (event.has_flush_done()) ids.push_back(event.flush_done().id());
  }
  EXPECT_THAT(ids, ::testing::ElementsAre(7, 8));
  EXPECT_EQ(result.finals().size(), 1u);
}

TEST(ContractTest, BlankLineAfterATrailingBlankIsABoundaryLikeAnyOther) {
  TestServer server;
  const auto stub = server.NewStub();
  const SessionResult result = RunSession(stub.get(), MakeConfig(),
                                          {TextRequest("one two \n"), TextRequest("\nthree four")});
  ASSERT_TRUE(result.status.ok());
  std::vector<v1::FinalReason> reasons;
  for (const v1::StreamEvent& event : result.events) {
    if (event.has_segment_final()) reasons.push_back(event.segment_final().reason());
  }
  EXPECT_THAT(reasons, ::testing::ElementsAre(v1::FINAL_BOUNDARY, v1::FINAL_HALF_CLOSE));
}

TEST(ContractTest, V11_TranslateEqualsTheSentenceStream) {
  constexpr size_t kTexts = 500;
  const uint64_t seed = TestSeed();
  TestServer server;
  const auto stub = server.NewStub();

  RunParallel(kTexts, kThreads, [&](size_t index) {
    RandomStream random(seed, "v11", 0, index);
    const std::string text = RandomText(&random, random.NextBelow(60));
    v1::TranslateRequest request;
    request.set_source_language("en");
    request.set_target_language("de");
    request.set_text(text);
    v1::TranslateResponse response;
    grpc::ClientContext context;
    const grpc::Status status = stub->Translate(&context, request, &response);
    ASSERT_TRUE(status.ok()) << status.error_message();

    const SessionResult stream =
        RunSession(stub.get(), MakeConfig("sentence"), {TextRequest(text)});
    std::vector<std::string> targets;
    std::string joined;
    uint32_t end = 0;
    for (const v1::SegmentPair& pair : response.segments()) {
      targets.push_back(pair.target());
      joined += pair.target() + pair.separator();
      EXPECT_EQ(text.substr(pair.source_end(), pair.separator().size()), pair.separator());
      EXPECT_GE(pair.source_begin(), end);
      EXPECT_GT(pair.source_end(), pair.source_begin());
      end = pair.source_end();
    }
    EXPECT_EQ(targets, stream.finals()) << index;
    EXPECT_EQ(response.text(), joined);
    EXPECT_EQ(response.model().name(), "hash-en-xx");
    EXPECT_EQ(response.usage().segments(), targets.size());
  });
  server.ExpectConsistentAtRest();
}

TEST(ContractTest, TheSkipDialReachesTheEngineAndComesBackInEveryCount) {
  TestServerOptions options;
  options.hash.skips_mlp = true;  // routed rows skip the MLP of the one layer
  TestServer server(options);
  const auto stub = server.NewStub();
  v1::StreamConfig config = MakeConfig("wait-k:2");
  config.mutable_output()->set_model_stats(true);
  const std::vector<v1::StreamRequest> requests = {TextRequest("One two three four. Five six.")};
  const SessionResult dense = RunSession(stub.get(), config, requests);

  config.mutable_compute()->set_theta(0.5f);
  const SessionResult routed = RunSession(stub.get(), config, requests);

  EXPECT_EQ(dense.effective().compute().theta(), 0);
  EXPECT_EQ(routed.effective().compute().theta(), 0.5f);
  EXPECT_EQ(BrokenInvariant(config, requests, routed), "");
  const auto usage = [](const SessionResult& result) {
    return result.events.back().ended().usage().compute();
  };
  EXPECT_EQ(usage(dense).modules_skipped(), 0u);
  EXPECT_GT(usage(dense).modules_total(), 0u);
  // All rows but the first of either side of each of the two segments; prompt and header do not
  // count in the total.
  EXPECT_EQ(usage(routed).modules_total(), usage(dense).modules_total());
  EXPECT_GT(usage(routed).modules_skipped(), 0u);
  EXPECT_LE(usage(routed).modules_skipped(), usage(routed).modules_total() / 2 - 2);
  ASSERT_TRUE(server.WaitAtRest());
  EXPECT_EQ(server.Metric("dragoman_modules_skipped_total"), usage(routed).modules_skipped());
  EXPECT_EQ(server.Metric("dragoman_modules_skipped_total", "module=\"attention\""), 0);
  v1::ListModelsResponse list;
  grpc::ClientContext context;
  ASSERT_TRUE(stub->ListModels(&context, {}, &list).ok());
  EXPECT_THAT(list.models(0).features(), ::testing::Contains("theta"));
}

}  // namespace
}  // namespace dragoman::testing
