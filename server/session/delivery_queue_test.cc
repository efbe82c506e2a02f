#include "server/session/delivery_queue.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/step_clock.h"

namespace dragoman::server {
namespace {

using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(DeliveryQueueTest, RunsTimersInTheOrderOfTheirTimes) {
  testing::StepClock clock;
  DeliveryQueue queue(&clock);
  std::vector<std::string> calls;
  const TimePoint begin = clock.Now();
  queue.CallAt(begin + seconds(2), [&] { calls.push_back("second"); });
  queue.CallAt(begin + seconds(1), [&] { calls.push_back("first"); });
  queue.CallAt(begin + seconds(2), [&] { calls.push_back("third"); });

  queue.RunPending();
  EXPECT_THAT(calls, IsEmpty());
  clock.Advance(seconds(2));
  queue.RunPending();

  EXPECT_THAT(calls, ElementsAre("first", "second", "third"));
  EXPECT_EQ(queue.timers(), 0u);
}

TEST(DeliveryQueueTest, ATimerThatIsTakenBackNeverRuns) {
  testing::StepClock clock;
  DeliveryQueue queue(&clock);
  std::vector<std::string> calls;
  const TimePoint time = clock.Now() + seconds(1);
  const auto dropped = queue.CallAt(time, [&] { calls.push_back("dropped"); });
  queue.CallAt(time, [&] { calls.push_back("kept"); });

  queue.Drop(dropped);
  EXPECT_EQ(queue.timers(), 1u);
  clock.Advance(seconds(1));
  queue.RunPending();
  queue.Drop(dropped);

  EXPECT_THAT(calls, ElementsAre("kept"));
}

}  // namespace
}  // namespace dragoman::server
