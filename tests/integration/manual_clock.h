// A clock that a test moves by hand. Waits end when the test advances past their deadline.
#pragma once

#include <set>

#include "base/clock.h"

namespace dragoman::testing {

// Thread-safe.
class ManualClock final : public Clock {
 public:
  TimePoint Now() override {
    const MutexLock lock(&mu_);
    return now_;
  }

  bool WaitUntil(Mutex* mutex, CondVar* condition, TimePoint deadline,
                 const std::function<bool()>& ready) override {
    {
      const MutexLock lock(&mu_);
      waiters_.insert({mutex, condition});
    }
    while (!ready() && Now() < deadline) condition->wait(*mutex);
    {
      const MutexLock lock(&mu_);
      waiters_.erase(waiters_.find({mutex, condition}));
    }
    return ready();
  }

  void Advance(Duration step) {
    std::multiset<std::pair<Mutex*, CondVar*>> waiters;
    {
      const MutexLock lock(&mu_);
      now_ += step;
      waiters = waiters_;
    }
    for (const auto& [mutex, condition] : waiters) {
      { const MutexLock lock(mutex); }  // a waiter is before its check or in its wait
      condition->notify_all();
    }
  }

 private:
  Mutex mu_;
  TimePoint now_{std::chrono::hours(1)};
  std::multiset<std::pair<Mutex*, CondVar*>> waiters_;
};

}  // namespace dragoman::testing
