#include "client/load/arrival.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "gtest/gtest.h"

namespace dragoman::client {
namespace {

using std::chrono::milliseconds;

TEST(ArrivalTest, PoissonStartsRiseWithinTheRampAndRepeatWithTheSeed) {
  const std::vector<Duration> starts = PoissonStarts(500, milliseconds(9000), 7);

  ASSERT_EQ(starts.size(), 500u);
  EXPECT_TRUE(std::is_sorted(starts.begin(), starts.end()));
  EXPECT_GT(starts.front(), Duration{});
  EXPECT_LT(starts.back(), milliseconds(9000));
  EXPECT_EQ(starts, PoissonStarts(500, milliseconds(9000), 7));
  EXPECT_NE(starts, PoissonStarts(500, milliseconds(9000), 8));
}

TEST(ArrivalTest, PoissonGapsSpreadAsExponentialOnes) {
  const std::vector<Duration> starts = PoissonStarts(20000, milliseconds(20000), 1);
  std::vector<double> gaps;
  for (size_t i = 1; i < starts.size(); ++i) {
    gaps.push_back(std::chrono::duration<double>(starts[i] - starts[i - 1]).count());
  }
  const double mean = std::accumulate(gaps.begin(), gaps.end(), 0.0) / gaps.size();
  double squares = 0.0;
  for (const double gap : gaps) squares += (gap - mean) * (gap - mean);
  const auto above = std::count_if(gaps.begin(), gaps.end(), [&](double g) { return g > mean; });

  EXPECT_NEAR(mean, 0.001, 0.00002);
  EXPECT_NEAR(std::sqrt(squares / gaps.size()) / mean, 1.0, 0.05);              // even gaps: 0
  EXPECT_NEAR(static_cast<double>(above) / gaps.size(), std::exp(-1.0), 0.02);  // uniform: 0.5
}

}  // namespace
}  // namespace dragoman::client
