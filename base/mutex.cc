#include "base/mutex.h"

#include "absl/synchronization/mutex.h"

namespace dragoman {

void StopAbslLockOrderChecks() {
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
}

}  // namespace dragoman
