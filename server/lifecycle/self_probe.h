// Finds out whether this process still serves new connections: dials its own port and asks the
// health service. A listener that is deaf, or callback threads that all hang, answer nobody while
// every open health Watch still says SERVING.
#pragma once

#include <chrono>
#include <functional>
#include <utility>

#include "base/clock.h"
#include "base/status.h"
#include "server/lifecycle/accept_loop.h"

namespace dragoman::server {

// Counts failures in a row. One thread only.
class SelfProbe {
 public:
  static constexpr int kMaxFailures = 3;

  // `probe` is one attempt; `on_failure` hears of each one that failed, `on_dead` of the third in a
  // row.
  SelfProbe(std::function<absl::Status()> probe,
            std::function<void(const absl::Status&)> on_failure, std::function<void()> on_dead)
      : probe_(std::move(probe)),
        on_failure_(std::move(on_failure)),
        on_dead_(std::move(on_dead)) {}

  void RunOnce();

 private:
  const std::function<absl::Status()> probe_;
  const std::function<void(const absl::Status&)> on_failure_;
  const std::function<void()> on_dead_;
  int failures_ = 0;
};

// One attempt over a new connection: any answer of the health service will do, SERVING or not.
// Blocks for at most about `patience`. Errors: Unavailable, DeadlineExceeded.
absl::Status ProbeListener(AcceptLoop* listener, std::chrono::milliseconds patience);

}  // namespace dragoman::server
