// A clock for tests of code that only waits for time to pass: every wait passes at once.
#pragma once

#include <algorithm>

#include "base/clock.h"

namespace dragoman::testing {

// Time jumps to the deadline of whoever waits. Thread-safe.
class JumpClock final : public Clock {
 public:
  TimePoint Now() override {
    const MutexLock lock(&mu_);
    return now_;
  }
  bool WaitUntil(Mutex* mutex, CondVar* condition, TimePoint deadline,
                 const std::function<bool()>& ready) override {
    if (deadline == TimePoint::max()) {
      condition->wait(*mutex, ready);
    } else if (!ready()) {
      const MutexLock lock(&mu_);
      now_ = std::max(now_, deadline);
    }
    return ready();
  }

 private:
  Mutex mu_;
  TimePoint now_{std::chrono::hours(1)};
};

}  // namespace dragoman::testing
