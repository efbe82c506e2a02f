#include "model/native/team_governor.h"

#include "gtest/gtest.h"

namespace dragoman::model {
namespace {

// A machine: seconds per step for one thread and for the team, with a stall in every n-th step of
// the team (0: never).
struct Machine {
  double one = 2.0, team = 1.2;
  int stall_every = 0;
  int team_steps = 0;

  double Run(TeamGovernor* governor, int steps, int64_t rows = 1) {
    double seconds = 0;
    for (int i = 0; i < steps; ++i) {
      double step = one;
      if (governor->Choose(rows) > 1) {
        ++team_steps;
        step = stall_every > 0 && team_steps % stall_every == 0 ? 6.0 : team;
      }
      governor->Record(1.0, step);
      seconds += step;
    }
    return seconds;
  }
};

TEST(TeamGovernorTest, AQuietMachineRunsOnTheTeam) {
  TeamGovernor governor(2);
  Machine machine;

  const double seconds = machine.Run(&governor, 4000);

  EXPECT_LT(seconds, 4000 * machine.team * 1.02);
}

TEST(TeamGovernorTest, ABusyCoreCostsLittleAgainstOneThread) {
  TeamGovernor governor(2);
  Machine machine;
  machine.stall_every = 4;  // without a governor: 2.4 a step

  const double seconds = machine.Run(&governor, 4000);

  EXPECT_LT(seconds, 4000 * machine.one / 0.95);
}

TEST(TeamGovernorTest, TheTeamComesBackWhenTheCoreIsFreeAgain) {
  TeamGovernor governor(2);
  Machine machine;
  machine.stall_every = 4;
  machine.Run(&governor, 4000);
  machine.stall_every = 0;
  machine.Run(&governor, 600);  // the longest rest

  const double seconds = machine.Run(&governor, 1000);

  EXPECT_LT(seconds, 1000 * machine.team * 1.02);
}

TEST(TeamGovernorTest, ASingleStallIsForgotten) {
  TeamGovernor governor(2);
  Machine machine;
  machine.Run(&governor, 500);
  machine.stall_every = machine.team_steps + 1;
  machine.Run(&governor, 100);  // rests once
  const int before = machine.team_steps;
  machine.stall_every = 0;

  machine.Run(&governor, 300);

  EXPECT_GE(machine.team_steps - before, 295);
}

TEST(TeamGovernorTest, OneThreadIsOneThread) {
  TeamGovernor governor(1);
  Machine machine;
  machine.Run(&governor, 100);
  EXPECT_EQ(machine.team_steps, 0);
}

TEST(TeamGovernorTest, StepsOfOtherSizesAreJudgedApart) {
  TeamGovernor governor(2);
  Machine small, large;
  small.team = 3.0;  // too little work to share
  for (int i = 0; i < 400; ++i) {
    small.Run(&governor, 1, 1);
    large.Run(&governor, 1, 32);
  }
  EXPECT_LT(small.team_steps, 40);
  EXPECT_GE(large.team_steps, 390);
}

}  // namespace
}  // namespace dragoman::model
