#include "client/load/counter_check.h"

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/jump_clock.h"

namespace dragoman::client {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

Exposition Page(const std::string& text) { return *ParseExposition(text); }

CountRange Exactly(uint64_t count) { return {count, count}; }

std::vector<std::string> Mismatches(const CounterReport& report) {
  std::vector<std::string> names;
  for (const CounterResult& result : report.results) {
    if (!result.agrees()) names.push_back(result.ToString());
  }
  return names;
}

TEST(CounterCheckTest, GrowthEqualsWhatTheClientSaw) {
  RunCounts counts;
  counts.source_words = Exactly(50);
  counts.chunks = Exactly(60);
  counts.calls = Exactly(4);
  const Exposition before = Page(
      "dragoman_source_words_total{model=\"a\"} 7\n"
      "grpc_server_started_total{grpc_method=\"StreamTranslate\"} 1\n"
      "grpc_server_started_total{grpc_method=\"GetInfo\"} 1\n");
  const Exposition after = Page(
      "dragoman_source_words_total{model=\"a\"} 57\n"
      "dragoman_messages_total{kind=\"text\"} 60\n"
      "dragoman_messages_total{kind=\"config\"} 4\n"
      "grpc_server_started_total{grpc_method=\"StreamTranslate\"} 5\n"
      "grpc_server_started_total{grpc_method=\"GetInfo\"} 9\n"
      "dragoman_slots_used 0\n");

  const CounterReport report = CompareCounters(before, after, counts);

  EXPECT_THAT(Mismatches(report), ElementsAre());
  EXPECT_TRUE(report.agrees());
  EXPECT_EQ(report.results.size(), 4u);
  EXPECT_THAT(report.absent, Contains("dragoman_target_words_total"));
}

TEST(CounterCheckTest, AMismatchHasTheNameAndBothFigures) {
  RunCounts counts;
  counts.target_words = Exactly(12);
  counts.events.AddAtLeast(30);
  const Exposition after = Page(
      "dragoman_target_words_total 11\ndragoman_events_total 29\ndragoman_slots_used 2\n"
      "dragoman_double_free_total 1\n");

  const CounterReport report = CompareCounters(Page(""), after, counts);

  EXPECT_FALSE(report.agrees());
  EXPECT_THAT(Mismatches(report),
              ElementsAre("dragoman_target_words_total: the server says 11, the client 12",
                          "dragoman_events_total: the server says 29, the client 30 or more",
                          "dragoman_double_free_total: the server says 1, the client 0",
                          "dragoman_slots_used: the server says 2, the client 0"));
}

TEST(CounterCheckTest, ABrokenOffSessionLeavesARange) {
  RunCounts counts;
  counts.chunks.AddExactly(10);
  counts.chunks.Add(0, 5);
  for (const auto& [chunks, agrees] : {std::pair(9, false), {10, true}, {15, true}, {16, false}}) {
    const Exposition after = Page(absl::StrCat("dragoman_messages_total{kind=\"text\"} ", chunks));
    EXPECT_EQ(CompareCounters(Page(""), after, counts).agrees(), agrees) << chunks;
  }
}

TEST(CounterCheckTest, ACounterThatFellIsAnotherProcess) {
  const CounterReport report =
      CompareCounters(Page("dragoman_events_total 9\n"), Page("dragoman_events_total 3\n"), {});
  EXPECT_THAT(Mismatches(report), ElementsAre(HasSubstr("the server says -6")));
}

TEST(CounterCheckTest, APageOfAnotherProgramDoesNotPass) {
  const Exposition page = Page("node_load1 3\n");
  EXPECT_FALSE(CompareCounters(page, page, {}).agrees());
}

TEST(CounterCheckTest, WaitsUntilTheLastSessionIsBooked) {
  testing::JumpClock clock;
  int reads = 0;
  RunCounts counts;
  counts.events = Exactly(5);
  const MetricsSource source = [&] {
    return ParseExposition(absl::StrCat("dragoman_events_total ", ++reads < 4 ? 4 : 5, "\n"));
  };

  const auto report = CheckAtRest(source, Page(""), counts, &clock, RestLimits{});

  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_TRUE(report->agrees());
  EXPECT_EQ(reads, 4);
}

TEST(CounterCheckTest, GivesUpAfterItsTimeWithTheLastFigures) {
  testing::JumpClock clock;
  int reads = 0;
  const MetricsSource source = [&] {
    return ParseExposition(absl::StrCat("dragoman_slots_used ", ++reads, "\n"));
  };
  const TimePoint begin = clock.Now();

  const auto report = CheckAtRest(source, Page(""), {}, &clock, RestLimits{});

  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_FALSE(report->agrees());
  EXPECT_EQ(reads, 101);  // 5 s in steps of 50 ms, and one at the begin
  EXPECT_EQ(clock.Now() - begin, std::chrono::seconds(5));
  EXPECT_EQ(report->results[0].server, 101);
}

TEST(CounterCheckTest, AServerThatIsNotAtRestIsRefusedBeforeTheRun) {
  testing::JumpClock clock;
  const auto page =
      ReadAtRest([] { return ParseExposition("dragoman_streams 3\n"); }, &clock, RestLimits{});
  EXPECT_EQ(page.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(page.status().message()), HasSubstr("dragoman_streams is 3"));
}

TEST(CounterCheckTest, AnUnreadablePageIsAnErrorAtOnce) {
  testing::JumpClock clock;
  int reads = 0;
  const MetricsSource source = [&]() -> absl::StatusOr<Exposition> {
    ++reads;
    return absl::UnavailableError("gone");
  };
  EXPECT_EQ(ReadAtRest(source, &clock, RestLimits{}).status().code(),
            absl::StatusCode::kUnavailable);
  EXPECT_EQ(CheckAtRest(source, Page(""), {}, &clock, RestLimits{}).status().code(),
            absl::StatusCode::kUnavailable);
  EXPECT_EQ(reads, 2);
}

TEST(RunCountsTest, OneOpenEndMakesTheSumOpen) {
  CountRange range;
  range.AddExactly(3);
  range.AddAtLeast(2);
  range.AddExactly(1);
  EXPECT_EQ(range.least, 6u);
  EXPECT_EQ(range.most, CountRange::kUnlimited);
}

}  // namespace
}  // namespace dragoman::client
