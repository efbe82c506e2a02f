#include "client/load/load_report.h"

#include <numeric>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace dragoman::client {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

SessionOutcome Outcome(SessionRole role, absl::StatusCode code, double lag) {
  SessionOutcome outcome;
  outcome.role = role;
  outcome.end.started = true;
  outcome.end.status.code = code;
  outcome.words_sent = 10;
  outcome.lag_seconds = {lag, lag};
  outcome.first_text_seconds = 2 * lag;
  outcome.laal_words = lag;
  return outcome;
}

SessionOutcome Cancelled(absl::StatusCode code) {
  SessionOutcome outcome = Outcome(SessionRole::kCancels, code, 70.0);
  outcome.end.cancelled_by_us = true;
  return outcome;
}

TEST(LoadReportTest, ChaoticSessionsAreCountedApartAndOutOfTheTimes) {
  const LoadReport report =
      MakeLoadReport({Outcome(SessionRole::kOrderly, absl::StatusCode::kOk, 1.0),
                      Outcome(SessionRole::kReadsSlowly, absl::StatusCode::kOk, 50.0),
                      Cancelled(absl::StatusCode::kCancelled),
                      Outcome(SessionRole::kOrderly, absl::StatusCode::kOk, 3.0)},
                     {0.25}, 9.0);

  EXPECT_EQ(report.streams, 4u);
  EXPECT_EQ(report.completed, 2u);
  EXPECT_EQ(report.slow, 1u);
  EXPECT_EQ(report.cancelled, 1u);
  EXPECT_EQ(report.failed + report.refused, 0u);
  EXPECT_FALSE(report.first_failure.has_value());
  EXPECT_THAT(report.errors, ElementsAre());
  EXPECT_EQ(report.lag_seconds.count, 4u);
  EXPECT_DOUBLE_EQ(report.lag_seconds.max, 3.0);
  EXPECT_DOUBLE_EQ(report.first_text_seconds.max, 6.0);
  EXPECT_DOUBLE_EQ(report.laal_words.max, 3.0);
  EXPECT_EQ(report.source_words, 40u);
  EXPECT_DOUBLE_EQ(report.late_seconds.max, 0.25);
  EXPECT_DOUBLE_EQ(report.seconds, 9.0);
}

TEST(LoadReportTest, AChaoticSessionThatTheServerEndedIsAFailure) {
  SessionOutcome broken = Cancelled(absl::StatusCode::kCancelled);
  broken.end.broken_invariant = "invariant 2: text";
  SessionOutcome not_started = Cancelled(absl::StatusCode::kUnavailable);
  not_started.end.started = false;

  const LoadReport report = MakeLoadReport(
      {Outcome(SessionRole::kCancels, absl::StatusCode::kInternal, 1.0),  // before our cancel
       Outcome(SessionRole::kReadsSlowly, absl::StatusCode::kResourceExhausted, 1.0),
       Cancelled(absl::StatusCode::kInternal), broken, not_started},
      {}, 1.0);

  EXPECT_EQ(report.cancelled + report.slow, 0u);
  EXPECT_EQ(report.failed, 4u);
  EXPECT_EQ(report.refused, 1u);
  EXPECT_EQ(report.broken_invariants, 1u);
  ASSERT_TRUE(report.first_failure.has_value());
  EXPECT_EQ(report.first_failure->status.code, absl::StatusCode::kInternal);
  EXPECT_THAT(report.errors, ::testing::Contains(HasSubstr("invariant 2")));
}

TEST(LoadReportTest, DistributionIsByNearestRank) {
  std::vector<double> values(100);
  std::iota(values.rbegin(), values.rend(), 1.0);

  const LoadDistribution spread = Distribute(values);

  EXPECT_EQ(spread.count, 100u);
  EXPECT_DOUBLE_EQ(spread.median, 50.0);
  EXPECT_DOUBLE_EQ(spread.p90, 90.0);
  EXPECT_DOUBLE_EQ(spread.p99, 99.0);
  EXPECT_DOUBLE_EQ(spread.max, 100.0);
  EXPECT_EQ(Distribute({}).count, 0u);
}

}  // namespace
}  // namespace dragoman::client
