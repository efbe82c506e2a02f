#include "server/lifecycle/self_probe.h"

#include <vector>

#include "gtest/gtest.h"
#include "server/lifecycle/periodic_task.h"
#include "tests/support/step_clock.h"

namespace dragoman::server {
namespace {

using std::chrono::seconds;

TEST(SelfProbeTest, ThreeFailuresInARowAreTheEnd) {
  std::vector<bool> answers = {false, false, true, false, false, false, false};
  size_t next = 0;
  int failures = 0;
  int dead = 0;
  SelfProbe probe(
      [&] { return answers[next++] ? absl::OkStatus() : absl::UnavailableError("no answer"); },
      [&](const absl::Status&) { ++failures; }, [&] { ++dead; });

  for (int i = 0; i < 5; ++i) probe.RunOnce();
  EXPECT_EQ(failures, 4);
  EXPECT_EQ(dead, 0);
  probe.RunOnce();
  EXPECT_EQ(dead, 1);
  probe.RunOnce();
  EXPECT_EQ(dead, 1);  // told once
}

TEST(PeriodicTaskTest, RunsOncePerIntervalUntilStopped) {
  testing::StepClock clock;
  int calls = 0;
  PeriodicTask task("test", &clock, seconds(10), [&] { ++calls; });
  task.Start();
  clock.AwaitWaits(1);
  clock.Advance(seconds(9));
  clock.Advance(seconds(1));
  clock.AwaitWaits(2);
  EXPECT_EQ(calls, 1);
  clock.Advance(seconds(10));
  clock.AwaitWaits(3);
  EXPECT_EQ(calls, 2);
  task.Stop();
  clock.Advance(seconds(100));
  EXPECT_EQ(calls, 2);
}

}  // namespace
}  // namespace dragoman::server
