#include "server/admission/quota.h"

#include "gtest/gtest.h"
#include "tests/support/step_clock.h"

namespace dragoman::server {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(ClientQuotasTest, StreamsAtOnceAreBoundedPerClient) {
  testing::StepClock clock;
  ClientQuotas quotas(&clock);
  const QuotaLimits limits{.streams = 2};
  EXPECT_FALSE(quotas.Start("a", limits).has_value());
  EXPECT_FALSE(quotas.Start("a", limits).has_value());

  const auto refusal = quotas.Start("a", limits);
  ASSERT_TRUE(refusal.has_value());
  EXPECT_EQ(refusal->kind, QuotaKind::kStreams);
  EXPECT_EQ(refusal->limit, 2u);
  EXPECT_GT(refusal->retry_after, Duration::zero());
  EXPECT_FALSE(quotas.Start("b", limits).has_value());

  quotas.End("a");
  EXPECT_FALSE(quotas.Start("a", limits).has_value());
}

TEST(ClientQuotasTest, StartsRefillWithTime) {
  testing::StepClock clock;
  ClientQuotas quotas(&clock);
  const QuotaLimits limits{.starts_per_second = 4};
  for (int i = 0; i < 4; ++i) EXPECT_FALSE(quotas.Start("a", limits).has_value()) << i;

  const auto refusal = quotas.Start("a", limits);
  ASSERT_TRUE(refusal.has_value());
  EXPECT_EQ(refusal->kind, QuotaKind::kRate);
  EXPECT_EQ(refusal->window, seconds(1));
  EXPECT_EQ(refusal->retry_after, milliseconds(250));

  clock.Advance(milliseconds(249));
  EXPECT_TRUE(quotas.Start("a", limits).has_value());
  clock.Advance(milliseconds(1));
  EXPECT_FALSE(quotas.Start("a", limits).has_value());
}

TEST(ClientQuotasTest, WordsAreCountedOverAllStreamsOfAClient) {
  testing::StepClock clock;
  ClientQuotas quotas(&clock);
  const QuotaLimits limits{.words_per_minute = 60};
  EXPECT_FALSE(quotas.Start("a", limits).has_value());
  EXPECT_FALSE(quotas.Start("a", limits).has_value());
  EXPECT_FALSE(quotas.Charge("a", limits, 40).has_value());
  EXPECT_FALSE(quotas.Charge("a", limits, 20).has_value());

  const auto over = quotas.Charge("a", limits, 10);
  ASSERT_TRUE(over.has_value());
  EXPECT_EQ(over->kind, QuotaKind::kSource);
  EXPECT_EQ(over->window, seconds(60));
  EXPECT_TRUE(quotas.Start("a", limits).has_value());

  clock.Advance(seconds(11));
  EXPECT_FALSE(quotas.Start("a", limits).has_value());
}

TEST(ClientQuotasTest, ManyNamesAreForgotten) {
  testing::StepClock clock;
  ClientQuotas quotas(&clock);
  const QuotaLimits limits{.streams = 1, .starts_per_second = 1};
  for (int round = 0; round < 10; ++round) {
    for (int i = 0; i < 1000; ++i) {
      const std::string name = std::to_string(round * 1000 + i);
      EXPECT_FALSE(quotas.Start(name, limits).has_value());
      quotas.End(name);
    }
    clock.Advance(std::chrono::minutes(3));
  }
  EXPECT_LE(quotas.remembered(), 2048u);
}

}  // namespace
}  // namespace dragoman::server
