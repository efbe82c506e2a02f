#include "client/api/retry.h"

#include <vector>

#include "gtest/gtest.h"

namespace dragoman::client {
namespace {

using std::chrono::milliseconds;

CallStatus Unavailable() {
  CallStatus status;
  status.code = absl::StatusCode::kUnavailable;
  return status;
}

RetrySchedule Schedule(uint64_t seed = 1, RetryOptions options = {}) {
  return RetrySchedule(options, RandomStream(seed, "retry-test"));
}

TEST(RetryTest, GivesUpAfterFiveTries) {
  RetrySchedule schedule = Schedule();
  int waits = 0;

  while (schedule.NextWait(Unavailable())) ++waits;

  EXPECT_EQ(waits, 4);  // five tries have four pauses
}

TEST(RetryTest, WaitsDoubleUnderACeilingAndUseTheWholeRange) {
  RetryOptions options;
  options.max_tries = 8;
  const std::vector<milliseconds> ceilings = {
      milliseconds(200),  milliseconds(400),  milliseconds(800), milliseconds(1600),
      milliseconds(3200), milliseconds(5000), milliseconds(5000)};
  std::vector<milliseconds> highest(ceilings.size(), milliseconds(0));
  std::vector<milliseconds> lowest(ceilings.size(), milliseconds(100000));

  for (uint64_t seed = 0; seed < 500; ++seed) {
    RetrySchedule schedule = Schedule(seed, options);
    for (size_t i = 0; i < ceilings.size(); ++i) {
      const auto wait = schedule.NextWait(Unavailable());
      ASSERT_TRUE(wait.has_value());
      ASSERT_LE(*wait, ceilings[i]) << "seed " << seed << " wait " << i;
      highest[i] = std::max(highest[i], *wait);
      lowest[i] = std::min(lowest[i], *wait);
    }
  }

  for (size_t i = 0; i < ceilings.size(); ++i) {
    EXPECT_GT(highest[i], ceilings[i] * 95 / 100) << "wait " << i;
    EXPECT_LT(lowest[i], ceilings[i] * 5 / 100) << "wait " << i;
  }
}

TEST(RetryTest, ObeysThePushbackOfTheServerToTheMillisecond) {
  CallStatus status = Unavailable();
  status.pushback = milliseconds(1234);
  RetrySchedule schedule = Schedule();

  EXPECT_EQ(schedule.NextWait(status), milliseconds(1234));
}

TEST(RetryTest, NeverWaitsLessThanRetryInfoAsks) {
  CallStatus status = Unavailable();
  status.retry_delay = milliseconds(700);
  for (uint64_t seed = 0; seed < 100; ++seed) {
    RetrySchedule schedule = Schedule(seed);
    const auto wait = schedule.NextWait(status);
    ASSERT_TRUE(wait.has_value());
    EXPECT_GE(*wait, milliseconds(700));
    EXPECT_LE(*wait, milliseconds(900));
  }
}

TEST(RetryTest, DoesNotTryAgainWhenTheServerForbidsIt) {
  CallStatus status = Unavailable();
  status.retry_forbidden = true;

  EXPECT_FALSE(Schedule().NextWait(status).has_value());
}

TEST(RetryTest, DoesNotWaitAnHourForAServer) {
  CallStatus status = Unavailable();
  status.retry_delay = milliseconds(3600000);

  EXPECT_FALSE(Schedule().NextWait(status).has_value());
}

TEST(RetryTest, TriesAgainOnlyWhereThatCanHelp) {
  CallStatus exhausted;
  exhausted.code = absl::StatusCode::kResourceExhausted;
  CallStatus exhausted_with_delay = exhausted;
  exhausted_with_delay.retry_delay = milliseconds(10);

  EXPECT_TRUE(IsRetryable(Unavailable()));
  EXPECT_FALSE(IsRetryable(exhausted));
  EXPECT_TRUE(IsRetryable(exhausted_with_delay));
  CallStatus late;
  late.code = absl::StatusCode::kDeadlineExceeded;
  EXPECT_FALSE(IsRetryable(late));
  late.reason = "CONFIG_TIMEOUT";
  EXPECT_TRUE(IsRetryable(late));
  for (const absl::StatusCode code :
       {absl::StatusCode::kOk, absl::StatusCode::kInvalidArgument,
        absl::StatusCode::kUnauthenticated, absl::StatusCode::kPermissionDenied,
        absl::StatusCode::kUnimplemented, absl::StatusCode::kInternal,
        absl::StatusCode::kNotFound}) {
    CallStatus status;
    status.code = code;
    status.retry_delay = milliseconds(10);
    EXPECT_FALSE(IsRetryable(status)) << static_cast<int>(code);
  }
}

}  // namespace
}  // namespace dragoman::client
