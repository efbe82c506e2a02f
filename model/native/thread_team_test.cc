#include "model/native/thread_team.h"

#include <vector>

#include "gtest/gtest.h"

namespace dragoman::model {
namespace {

TEST(ThreadTeamTest, EveryIndexIsDoneOnceForAnyCountGrainAndTeam) {
  for (const int threads : {1, 2, 3, 5}) {
    ThreadTeam team(threads);
    EXPECT_EQ(team.threads(), threads);
    for (const int64_t count : {0, 1, 2, 7, 64, 1000}) {
      for (const int64_t grain : {1, 3, 64, 5000}) {
        std::vector<int> done(static_cast<size_t>(count), 0);  // each entry belongs to one piece
        team.ParallelFor(count, grain, [&](int worker, int64_t begin, int64_t end) {
          ASSERT_GE(worker, 0);
          ASSERT_LT(worker, threads);
          for (int64_t i = begin; i < end; ++i) ++done[static_cast<size_t>(i)];
        });
        EXPECT_EQ(done, std::vector<int>(static_cast<size_t>(count), 1))
            << threads << " threads, " << count << " by " << grain;
      }
    }
  }
}

TEST(ThreadTeamTest, AWorkerNumberIsNeverAtWorkTwice) {
  ThreadTeam team(4);
  std::vector<std::atomic<int>> busy(4);
  for (auto& one : busy) one = 0;
  std::atomic<int> clashes{0};
  for (int loop = 0; loop < 200; ++loop) {
    team.ParallelFor(50, 1, [&](int worker, int64_t, int64_t) {
      if (busy[static_cast<size_t>(worker)].fetch_add(1) != 0) ++clashes;
      busy[static_cast<size_t>(worker)].fetch_sub(1);
    });
  }
  EXPECT_EQ(clashes, 0);
}

TEST(ThreadTeamTest, ManyShortLoopsSeeEachOthersResults) {
  ThreadTeam team(3);
  std::vector<int64_t> sums(256, 0);
  for (int loop = 0; loop < 20000; ++loop) {
    team.ParallelFor(256, 16, [&](int, int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) sums[static_cast<size_t>(i)] += 1;
    });
  }
  EXPECT_EQ(sums, std::vector<int64_t>(256, 20000));
}

}  // namespace
}  // namespace dragoman::model
