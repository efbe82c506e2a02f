// Steady time and timed waits behind an interface, so that tests drive time by hand.
#pragma once

#include <chrono>
#include <functional>

#include "base/mutex.h"

namespace dragoman {

using TimePoint = std::chrono::steady_clock::time_point;
using Duration = std::chrono::steady_clock::duration;

// Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual TimePoint Now() = 0;
  // Waits on `condition` (the caller holds `mutex`) until `ready()` or `deadline`.
  // Returns ready(). TimePoint::max() waits without a deadline.
  virtual bool WaitUntil(Mutex* mutex, CondVar* condition, TimePoint deadline,
                         const std::function<bool()>& ready) = 0;
};

// The steady clock of the machine. Never jumps with the date.
class SystemClock final : public Clock {
 public:
  TimePoint Now() override;
  bool WaitUntil(Mutex* mutex, CondVar* condition, TimePoint deadline,
                 const std::function<bool()>& ready) override;
};

}  // namespace dragoman
