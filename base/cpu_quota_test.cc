#include "base/cpu_quota.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "gtest/gtest.h"

namespace dragoman {
namespace {

class ProcessorQuotaTest : public ::testing::Test {
 protected:
  ProcessorQuotaTest() : root_(::testing::TempDir() + "/cgroup_" + std::to_string(getpid())) {
    std::filesystem::create_directories(root_ + "/pods/one");
  }
  ~ProcessorQuotaTest() override { std::filesystem::remove_all(root_); }
  void Write(const std::string& name, const std::string& text) {
    std::ofstream(root_ + name) << text;
  }

  const std::string root_;
};

TEST_F(ProcessorQuotaTest, ReadsVersionTwo) {
  Write("/pods/one/cpu.max", "250000 100000\n");
  EXPECT_DOUBLE_EQ(ProcessorQuota(root_, "/pods/one"), 2.5);
  Write("/pods/one/cpu.max", "max 100000\n");
  EXPECT_EQ(ProcessorQuota(root_, "/pods/one"), 0);
}

TEST_F(ProcessorQuotaTest, ReadsVersionOne) {
  Write("/pods/one/cpu.cfs_quota_us", "400000\n");
  Write("/pods/one/cpu.cfs_period_us", "100000\n");
  EXPECT_DOUBLE_EQ(ProcessorQuota(root_, "/pods/one"), 4);
  Write("/pods/one/cpu.cfs_quota_us", "-1\n");
  EXPECT_EQ(ProcessorQuota(root_, "/pods/one"), 0);
}

TEST_F(ProcessorQuotaTest, TheSmallestOnTheWayUpCounts) {
  Write("/pods/one/cpu.max", "400000 100000\n");
  Write("/pods/cpu.max", "150000 100000\n");
  EXPECT_DOUBLE_EQ(ProcessorQuota(root_, "/pods/one"), 1.5);
  // As in a container, whose own group is the root there.
  Write("/cpu.max", "100000 100000\n");
  EXPECT_DOUBLE_EQ(ProcessorQuota(root_, "/gone/away"), 1);
}

TEST_F(ProcessorQuotaTest, WithoutAQuotaTheProcessorsCount) {
  EXPECT_EQ(ProcessorQuota(root_, "/pods/one"), 0);
  EXPECT_GE(UsableProcessors(), 1);
  EXPECT_LE(UsableProcessors(), static_cast<int>(std::thread::hardware_concurrency()));
}

}  // namespace
}  // namespace dragoman
