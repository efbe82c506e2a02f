#include "client/load/chaos.h"

#include <algorithm>
#include <cmath>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace dragoman::client {
namespace {

using ::testing::HasSubstr;

size_t Count(const std::vector<SessionRole>& roles, SessionRole role) {
  return static_cast<size_t>(std::count(roles.begin(), roles.end(), role));
}

TEST(ChaosTest, SharesBecomeWholeSessionsInASeededOrder) {
  ChaosShares shares;
  shares.cancel = 0.1;
  shares.slow = 0.05;

  const std::vector<SessionRole> roles = AssignRoles(shares, 200, 1);

  EXPECT_EQ(Count(roles, SessionRole::kCancels), 20u);
  EXPECT_EQ(Count(roles, SessionRole::kReadsSlowly), 10u);
  EXPECT_EQ(Count(roles, SessionRole::kOrderly), 170u);
  EXPECT_EQ(roles, AssignRoles(shares, 200, 1));
  EXPECT_NE(roles, AssignRoles(shares, 200, 2));
  // Not the first ones: those also start first under poisson.
  EXPECT_LT(std::count(roles.begin(), roles.begin() + 30, SessionRole::kCancels), 20);
}

TEST(ChaosTest, RoundingNeverMakesMoreRolesThanSessions) {
  ChaosShares shares;
  shares.cancel = shares.slow = 0.5;
  for (size_t sessions = 0; sessions < 10; ++sessions) {
    const std::vector<SessionRole> roles = AssignRoles(shares, sessions, 3);
    ASSERT_EQ(roles.size(), sessions);
    EXPECT_EQ(Count(roles, SessionRole::kOrderly), 0u);
  }
}

TEST(ChaosTest, SharesOutsideTheirRangeAreRefusedByName) {
  ChaosShares shares;
  shares.cancel = 0.7;
  shares.slow = 0.3;
  EXPECT_TRUE(shares.Validate().ok()) << shares.Validate();
  shares.slow = 0.31;
  EXPECT_THAT(std::string(shares.Validate().message()), HasSubstr("sum to more than 1"));
  shares.slow = -0.1;
  EXPECT_THAT(std::string(shares.Validate().message()), HasSubstr("slow"));
  shares.slow = 0.0;
  shares.cancel = std::nan("");
  EXPECT_THAT(std::string(shares.Validate().message()), HasSubstr("cancel"));
}

}  // namespace
}  // namespace dragoman::client
