#include "client/load/session_plan.h"

#include <algorithm>
#include <set>

#include "gtest/gtest.h"

namespace dragoman::client {
namespace {

using std::chrono::milliseconds;

LoadOptions Options(Arrival arrival, size_t streams) {
  LoadOptions options;
  options.streams = streams;
  options.words_per_second = 2.0;
  options.duration = milliseconds(60000);
  options.arrival = arrival;
  options.ramp = milliseconds(9000);
  options.words = {"one", "two", "three"};
  return options;
}

TEST(SessionPlanTest, SpreadOpensAllAtOnceAndSpreadsTheFirstWordsOverOnePeriod) {
  const std::vector<SessionPlan> plans = PlanSessions(Options(Arrival::kSpread, 64));

  Duration last{};
  for (const SessionPlan& plan : plans) {
    EXPECT_EQ(plan.opens, Duration{});
    EXPECT_GE(plan.speaks, Duration{});
    EXPECT_LT(plan.speaks, milliseconds(500));
    last = std::max(last, plan.speaks);
  }
  EXPECT_GT(last, milliseconds(250));
}

TEST(SessionPlanTest, PoissonOpensEachSessionWhenItBeginsToSpeak) {
  const LoadOptions options = Options(Arrival::kPoisson, 64);

  const std::vector<SessionPlan> plans = PlanSessions(options);

  const std::vector<Duration> starts = PoissonStarts(64, options.ramp, options.seed);
  for (size_t i = 0; i < plans.size(); ++i) {
    EXPECT_EQ(plans[i].opens, starts[i]);
    EXPECT_EQ(plans[i].speaks, starts[i]);
  }
}

TEST(SessionPlanTest, BurstBeginsAllInOneMoment) {
  for (const SessionPlan& plan : PlanSessions(Options(Arrival::kBurst, 64))) {
    EXPECT_EQ(plan.opens, Duration{});
    EXPECT_EQ(plan.speaks, Duration{});
  }
}

TEST(SessionPlanTest, CancelsLieInTheMiddleHalfAndDiffer) {
  LoadOptions options = Options(Arrival::kPoisson, 64);
  options.chaos.cancel = 1.0;

  std::set<Duration> shares;
  for (const SessionPlan& plan : PlanSessions(options)) {
    const Duration speaking = Duration(options.duration) - plan.speaks;
    EXPECT_EQ(plan.role, SessionRole::kCancels);
    EXPECT_GE(plan.cancels - plan.speaks, speaking / 4);
    EXPECT_LT(plan.cancels - plan.speaks, speaking * 3 / 4);
    shares.insert(plan.cancels);
  }
  EXPECT_GT(shares.size(), 60u);
}

}  // namespace
}  // namespace dragoman::client
