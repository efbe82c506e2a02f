#include "client/cli/exit_code.h"

#include <tuple>
#include <vector>

#include "gtest/gtest.h"

namespace dragoman::client {
namespace {

using absl::StatusCode;

TEST(ExitCodeTest, EachConditionOfTheErrorTableHasItsCode) {
  using Row = std::tuple<StatusCode, const char*, bool, ExitCode>;
  const std::vector<Row> rows = {
      {StatusCode::kOk, "", true, ExitCode::kDone},
      {StatusCode::kUnavailable, "", false, ExitCode::kCannotConnect},
      {StatusCode::kUnavailable, "NO_CAPACITY", false, ExitCode::kNoCapacity},
      {StatusCode::kUnavailable, "QUEUE_TIMEOUT", false, ExitCode::kNoCapacity},
      {StatusCode::kUnavailable, "MODEL_LOADING", false, ExitCode::kNoCapacity},
      {StatusCode::kUnavailable, "DRAINING", false, ExitCode::kNoCapacity},
      {StatusCode::kUnavailable, "DRAINING", true, ExitCode::kEndedEarly},
      {StatusCode::kUnavailable, "", true, ExitCode::kEndedEarly},
      {StatusCode::kResourceExhausted, "QUOTA_STREAMS", false, ExitCode::kNoCapacity},
      {StatusCode::kResourceExhausted, "QUOTA_SOURCE", true, ExitCode::kNoCapacity},
      {StatusCode::kResourceExhausted, "SLOW_READER", true, ExitCode::kEndedEarly},
      {StatusCode::kResourceExhausted, "", false, ExitCode::kRefused},
      {StatusCode::kInvalidArgument, "UNKNOWN_OPTION", false, ExitCode::kRefused},
      {StatusCode::kInvalidArgument, "CHUNK_TOO_LARGE", true, ExitCode::kRefused},
      {StatusCode::kNotFound, "MODEL_NOT_FOUND", false, ExitCode::kRefused},
      {StatusCode::kUnimplemented, "OPTION_UNSUPPORTED", false, ExitCode::kRefused},
      {StatusCode::kUnimplemented, "", false, ExitCode::kRefused},
      {StatusCode::kUnauthenticated, "TOKEN_MISSING", false, ExitCode::kCredentials},
      {StatusCode::kPermissionDenied, "ROLE_MISSING", false, ExitCode::kCredentials},
      {StatusCode::kPermissionDenied, "TOKEN_REVOKED", true, ExitCode::kCredentials},
      {StatusCode::kDeadlineExceeded, "IDLE_TIMEOUT", true, ExitCode::kEndedEarly},
      {StatusCode::kDeadlineExceeded, "", false, ExitCode::kCannotConnect},
      {StatusCode::kOutOfRange, "DURATION_LIMIT", true, ExitCode::kEndedEarly},
      {StatusCode::kInternal, "COMPUTE_FAULT", true, ExitCode::kEndedEarly},
      {StatusCode::kInternal, "", false, ExitCode::kCannotConnect},
  };
  for (const auto& [code, reason, started, expected] : rows) {
    CallStatus status;
    status.code = code;
    status.reason = reason;
    EXPECT_EQ(ExitCodeForStatus(status, started), expected)
        << static_cast<int>(code) << " " << reason << " started " << started;
  }
}

TEST(ExitCodeTest, ABrokenPromiseComesBeforeEverythingElse) {
  StreamEnd end;
  end.started = true;
  end.cancelled_by_us = true;
  end.status.code = StatusCode::kCancelled;

  EXPECT_EQ(ExitCodeForEnd(end), ExitCode::kInterrupted);
  end.broken_invariant = "invariant 1";
  EXPECT_EQ(ExitCodeForEnd(end), ExitCode::kBrokenInvariant);
}

}  // namespace
}  // namespace dragoman::client
