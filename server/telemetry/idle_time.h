// How long a thread has waited for work, the wait in progress included: a scrape in the middle of a
// long silence shows the silence. Private to server/telemetry.
//
// Thread-safe.
#pragma once

#include <optional>

#include "base/clock.h"
#include "base/mutex.h"

namespace dragoman::server {

class IdleTime {
 public:
  explicit IdleTime(Clock* clock) : clock_(clock) {}

  void Begin() {
    const TimePoint now = clock_->Now();
    const MutexLock lock(&mu_);
    since_ = now;
  }
  void End() {
    const TimePoint now = clock_->Now();
    const MutexLock lock(&mu_);
    if (since_.has_value()) total_ += now - *since_;
    since_.reset();
  }
  Duration total() const {
    const MutexLock lock(&mu_);
    // The time is taken under the lock: the sum never falls.
    return since_.has_value() ? total_ + (clock_->Now() - *since_) : total_;
  }

 private:
  Clock* const clock_;
  mutable Mutex mu_;
  Duration total_ ABSL_GUARDED_BY(mu_){};
  std::optional<TimePoint> since_ ABSL_GUARDED_BY(mu_);
};

}  // namespace dragoman::server
