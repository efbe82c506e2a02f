#include "base/clock.h"

namespace dragoman {

TimePoint SystemClock::Now() { return std::chrono::steady_clock::now(); }

bool SystemClock::WaitUntil(Mutex* mutex, CondVar* condition, TimePoint deadline,
                            const std::function<bool()>& ready) {
  if (deadline == TimePoint::max()) {
    condition->wait(*mutex, ready);
    return true;
  }
  return condition->wait_until(*mutex, deadline, ready);
}

}  // namespace dragoman
