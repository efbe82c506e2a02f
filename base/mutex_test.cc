#include "base/mutex.h"

#include "absl/synchronization/mutex.h"
#include "gtest/gtest.h"

namespace dragoman {
namespace {

TEST(MutexTest, LockOrdersOfAbslAbortNothingOnceTheChecksAreStopped) {
  StopAbslLockOrderChecks();
  absl::Mutex first;
  absl::Mutex second;

  {
    const absl::MutexLock outer(&first);
    const absl::MutexLock inner(&second);
  }
  {
    const absl::MutexLock outer(&second);
    const absl::MutexLock inner(&first);
  }

  SUCCEED();  // Debian's Abseil would have ended the process
}

}  // namespace
}  // namespace dragoman
