#include "base/clock.h"

#include <thread>

#include "gtest/gtest.h"

namespace dragoman {
namespace {

TEST(SystemClockTest, WaitEndsWhenTheConditionHolds) {
  SystemClock clock;
  Mutex mutex;
  CondVar condition;
  bool ready = false;
  std::thread setter([&] {
    MutexLock lock(&mutex);
    ready = true;
    condition.notify_all();
  });

  mutex.Lock();
  const bool held = clock.WaitUntil(&mutex, &condition, TimePoint::max(), [&] { return ready; });
  mutex.Unlock();
  setter.join();

  EXPECT_TRUE(held);
}

TEST(SystemClockTest, WaitEndsAtAPastDeadline) {
  SystemClock clock;
  Mutex mutex;
  CondVar condition;
  MutexLock lock(&mutex);
  EXPECT_FALSE(clock.WaitUntil(&mutex, &condition, clock.Now(), [] { return false; }));
}

}  // namespace
}  // namespace dragoman
