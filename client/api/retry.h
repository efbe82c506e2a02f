// When a refused call is tried again: at most five tries, waits of 0.2 s doubling to 5 s with full
// jitter, and the server's own word (RetryInfo, grpc-retry-pushback-ms) above that.
#pragma once

#include <chrono>
#include <optional>

#include "base/random.h"
#include "client/api/call_status.h"

namespace dragoman::client {

struct RetryOptions {
  int max_tries = 5;  // the first one included; 1: never again
  std::chrono::milliseconds initial_wait{200};
  std::chrono::milliseconds max_wait{5000};
  // A server that asks for a longer wait than this is not waited for.
  std::chrono::milliseconds max_server_wait{60000};
};

// True for a status that another try may cure: UNAVAILABLE, RESOURCE_EXHAUSTED with RetryInfo, or a
// config that did not reach the server in time.
// Never for bad requests, credentials or missing features.
bool IsRetryable(const CallStatus& status);

// The waits of one call. One thread only.
class RetrySchedule {
 public:
  RetrySchedule(const RetryOptions& options, RandomStream random)
      : options_(options), random_(random) {}

  // The wait before the next try after a try that ended with `status`, or nullopt: give up.
  std::optional<std::chrono::milliseconds> NextWait(const CallStatus& status);

 private:
  const RetryOptions options_;
  RandomStream random_;
  int tries_ = 1;
};

}  // namespace dragoman::client
