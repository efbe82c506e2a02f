// The load generator against a real gRPC server whose answers the test writes.
#include "client/load/load_run.h"

#include <atomic>

#include "client/load/session_plan.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/jump_clock.h"
#include "tests/support/scripted_interpreter.h"

namespace dragoman::client {
namespace {

using dragoman::testing::Refusal;
using dragoman::testing::ScriptedInterpreter;
using dragoman::testing::ScriptedSession;
using dragoman::testing::ServerStream;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Echoes one word for each chunk that comes in.
grpc::Status Echo(grpc::ServerContext* server_context, ServerStream* stream) {
  ScriptedSession session(server_context, stream);
  session.ReadConfig();
  session.SendStarted();
  v1::StreamRequest request;
  while (session.Read(&request)) session.SendStable(" wort");
  if (session.segment_open()) session.SendFinal(v1::FINAL_HALF_CLOSE);
  session.SendEnded(v1::END_COMPLETE);
  return grpc::Status::OK;
}

LoadOptions FastOptions() {
  LoadOptions options;
  options.config.set_source_language("en");
  options.config.add_target_languages("de");
  options.config.mutable_text_input();
  options.streams = 8;
  options.words_per_second = 200;
  options.duration = std::chrono::milliseconds(100);
  options.words = {"one", "two", "three."};
  return options;
}

absl::StatusOr<LoadReport> RunOn(const ScriptedInterpreter& server, const LoadOptions& options,
                                 Clock* clock) {
  ChannelOptions channel;
  channel.server = server.address();
  channel.insecure = true;
  auto client = InterpreterClient::Create(channel, RetryOptions{}, clock, 1);
  if (!client.ok()) return client.status();
  return RunLoad(client->get(), options, clock);
}

absl::StatusOr<LoadReport> RunOn(const ScriptedInterpreter& server, const LoadOptions& options) {
  SystemClock clock;
  return RunOn(server, options, &clock);
}

TEST(LoadRunTest, EverySessionSpeaksAndIsAnswered) {
  ScriptedInterpreter server(&Echo);

  const absl::StatusOr<LoadReport> report = RunOn(server, FastOptions());

  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->completed, 8u);
  EXPECT_THAT(report->errors, ElementsAre());
  EXPECT_GE(report->source_words, 8u * 10);  // 20 periods in 0.1 s; a late word is not dropped
  EXPECT_EQ(report->target_words, report->source_words);
  EXPECT_EQ(report->lag_seconds.count, report->source_words);
  EXPECT_EQ(report->first_text_seconds.count, 8u);
  EXPECT_GE(report->lag_seconds.median, 0.0);
  EXPECT_LE(report->lag_seconds.median, report->lag_seconds.p99);
}

TEST(LoadRunTest, RefusalsAndFaultsAreCountedApartWithTheirReason) {
  std::atomic<int> calls{0};
  ScriptedInterpreter server([&](grpc::ServerContext* server_context, ServerStream* stream) {
    ScriptedSession session(server_context, stream);
    session.ReadConfig();
    if (calls++ % 2 == 0) return Refusal(grpc::StatusCode::INVALID_ARGUMENT, "BAD_CONFIG");
    session.SendStarted();
    return grpc::Status(grpc::StatusCode::INTERNAL, "broken");
  });

  const absl::StatusOr<LoadReport> report = RunOn(server, FastOptions());

  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->completed, 0u);
  EXPECT_EQ(report->refused, 4u);
  EXPECT_EQ(report->failed, 4u);
  EXPECT_THAT(report->errors, ::testing::Contains(HasSubstr("BAD_CONFIG")));
}

TEST(LoadRunTest, ABrokenPromiseOfTheServerIsNamed) {
  ScriptedInterpreter server([](grpc::ServerContext* server_context, ServerStream* stream) {
    ScriptedSession session(server_context, stream);
    session.ReadConfig();
    session.SendStarted();
    session.next_seq = 7;
    session.SendStable("wort");
    session.SendEnded(v1::END_COMPLETE);
    return grpc::Status::OK;
  });
  LoadOptions options = FastOptions();
  options.streams = 1;

  const absl::StatusOr<LoadReport> report = RunOn(server, options);

  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->broken_invariants, 1u);
  EXPECT_EQ(report->completed, 0u);
  EXPECT_THAT(report->errors, ElementsAre(HasSubstr("invariant")));
}

TEST(LoadRunTest, ImpossibleOptionsAreRefused) {
  ScriptedInterpreter server(&Echo);
  LoadOptions options = FastOptions();
  options.words.clear();
  EXPECT_EQ(RunOn(server, options).status().code(), absl::StatusCode::kInvalidArgument);
  options = FastOptions();
  options.streams = 0;
  EXPECT_EQ(RunOn(server, options).status().code(), absl::StatusCode::kInvalidArgument);
  options = FastOptions();
  options.words_per_second = 0;
  EXPECT_EQ(RunOn(server, options).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(LoadRunTest, SessionsSpeakByTheirPlan) {
  ScriptedInterpreter server(&Echo);
  LoadOptions options = FastOptions();
  options.arrival = Arrival::kPoisson;
  options.ramp = std::chrono::milliseconds(90);
  options.chaos.cancel = 0.25;
  uint64_t words = 0;
  for (const SessionPlan& plan : PlanSessions(options)) {
    const bool cancels = plan.role == SessionRole::kCancels;
    const Duration last = cancels ? plan.cancels : Duration(options.duration);
    words += static_cast<uint64_t>((last - plan.speaks) / WordPeriod(options)) + 1;
  }
  dragoman::testing::JumpClock clock;

  const absl::StatusOr<LoadReport> report = RunOn(server, options, &clock);

  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->completed, 6u);
  EXPECT_EQ(report->cancelled, 2u);
  EXPECT_EQ(report->failed + report->refused, 0u);
  EXPECT_THAT(report->errors, ElementsAre());
  EXPECT_EQ(report->source_words, words);
  EXPECT_EQ(report->first_text_seconds.count, 6u);
}

TEST(LoadRunTest, CountsAreExactForWholeSessionsAndOpenForCancelledOnes) {
  ScriptedInterpreter server(&Echo);
  LoadOptions options = FastOptions();

  const absl::StatusOr<LoadReport> whole = RunOn(server, options);
  options.chaos.cancel = 0.5;
  const absl::StatusOr<LoadReport> half = RunOn(server, options);

  ASSERT_TRUE(whole.ok() && half.ok()) << whole.status() << half.status();
  const RunCounts& counts = whole->counts;
  EXPECT_EQ(counts.calls.least, 8u);
  EXPECT_EQ(counts.calls.most, 8u);
  EXPECT_EQ(counts.completed.least, 8u);
  EXPECT_EQ(counts.chunks.least, whole->source_words);
  EXPECT_EQ(counts.chunks.most, whole->source_words);
  EXPECT_EQ(counts.target_words.least, whole->target_words);
  EXPECT_EQ(counts.target_words.most, whole->target_words);
  EXPECT_EQ(counts.events.most, whole->events_received);
  EXPECT_EQ(counts.segments.most, 8u);
  EXPECT_EQ(counts.final_bytes.most, 5 * whole->target_words);  // " wort"
  EXPECT_EQ(half->cancelled, 4u);
  EXPECT_EQ(half->counts.completed.most, 4u);
  EXPECT_EQ(half->counts.events.most, CountRange::kUnlimited);
  EXPECT_LT(half->counts.chunks.least, half->counts.chunks.most);
  EXPECT_EQ(half->counts.chunks.most, half->source_words);
}

TEST(LoadRunTest, WordStampsGiveTheLaggingOfEachSession) {
  ScriptedInterpreter server(&Echo);  // target word n after source word n: always one behind
  LoadOptions options = FastOptions();
  options.config.mutable_output()->set_word_stamps(true);

  const absl::StatusOr<LoadReport> report = RunOn(server, options);

  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->laal_words.count, 8u);
  EXPECT_DOUBLE_EQ(report->laal_words.median, 1.0);
  EXPECT_DOUBLE_EQ(report->laal_words.max, 1.0);
}

}  // namespace
}  // namespace dragoman::client
