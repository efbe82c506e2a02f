#include "server/lifecycle/step_watch.h"

#include "gtest/gtest.h"
#include "tests/support/step_clock.h"

namespace dragoman::server {
namespace {

using std::chrono::seconds;

class Counter final : public model::EngineObserver {
 public:
  void OnStep(const model::StepFacts& facts) override { ++steps; }
  void OnGuard(model::TargetGuard) override { ++guards; }
  int steps = 0;
  int guards = 0;
};

TEST(StepWatchTest, TimesOnlyTheStepInProgress) {
  testing::StepClock clock;
  Counter next;
  StepWatch watch(&clock, &next);
  EXPECT_EQ(watch.running(), Duration::zero());

  watch.OnStepBegin();
  clock.Advance(seconds(21));
  EXPECT_EQ(watch.running(), seconds(21));

  watch.OnStep({});
  clock.Advance(seconds(100));
  EXPECT_EQ(watch.running(), Duration::zero());
}

TEST(StepWatchTest, PassesEverythingOn) {
  testing::StepClock clock;
  Counter next;
  StepWatch watch(&clock, &next);
  watch.OnStepBegin();
  watch.OnStep({});
  watch.OnGuard(model::TargetGuard::kLoop);
  EXPECT_EQ(next.steps, 1);
  EXPECT_EQ(next.guards, 1);
}

}  // namespace
}  // namespace dragoman::server
