// A clock that a test moves by hand and that says when somebody waits.
#pragma once

#include <set>
#include <utility>

#include "base/clock.h"

namespace dragoman::testing {

// Thread-safe.
class StepClock final : public Clock {
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
      ++waits_;
      changed_.notify_all();
    }
    while (!ready() && Now() < deadline) condition->wait(*mutex);
    {
      const MutexLock lock(&mu_);
      waiters_.erase(waiters_.find({mutex, condition}));
    }
    return ready();  // may take a lock of its own
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
  // Blocks until WaitUntil() was called so many times since the clock was made.
  void AwaitWaits(int waits) {
    const MutexLock lock(&mu_);
    changed_.wait(mu_, [&] { return waits_ >= waits; });
  }
  int waits() const {
    const MutexLock lock(&mu_);
    return waits_;
  }

 private:
  mutable Mutex mu_;
  CondVar changed_;
  TimePoint now_{std::chrono::hours(1)};
  std::multiset<std::pair<Mutex*, CondVar*>> waiters_;
  int waits_ = 0;
};

}  // namespace dragoman::testing
