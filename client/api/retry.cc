#include "client/api/retry.h"

#include <algorithm>

namespace dragoman::client {

bool IsRetryable(const CallStatus& status) {
  if (status.retry_forbidden) return false;
  if (status.code == absl::StatusCode::kUnavailable) return true;
  if (status.code == absl::StatusCode::kDeadlineExceeded) return status.reason == "CONFIG_TIMEOUT";
  return status.code == absl::StatusCode::kResourceExhausted && status.retry_delay.has_value();
}

std::optional<std::chrono::milliseconds> RetrySchedule::NextWait(const CallStatus& status) {
  if (!IsRetryable(status) || tries_ >= options_.max_tries) return std::nullopt;
  // A shift of 30 is far over any max_wait, and keeps the product inside 64 bits.
  const int doublings = std::min(tries_ - 1, 30);
  const auto ceiling =
      std::min(options_.max_wait, options_.initial_wait * (int64_t{1} << doublings));
  ++tries_;
  // Full jitter: uniform from zero, so that clients cut off together do not come back together.
  const auto jitter = std::chrono::milliseconds(
      static_cast<int64_t>(random_.NextUnit() * static_cast<double>(ceiling.count() + 1)));
  // RetryInfo is a lower bound, so the jitter comes on top; pushback is the wait itself.
  std::chrono::milliseconds wait = jitter;
  if (status.retry_delay) wait += *status.retry_delay;
  if (status.pushback) wait = *status.pushback;
  if ((status.pushback || status.retry_delay) && wait > options_.max_server_wait + ceiling) {
    return std::nullopt;
  }
  return wait;
}

}  // namespace dragoman::client
