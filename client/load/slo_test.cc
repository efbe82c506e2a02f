#include "client/load/slo.h"

#include "gtest/gtest.h"

namespace dragoman::client {
namespace {

TEST(SloTest, HoldsUpToTheLimitAndWithoutOne) {
  LoadReport report;
  report.lag_seconds.p99 = 1.0;
  report.first_text_seconds.p99 = 2.0;

  EXPECT_TRUE(Slo{}.Holds(report));
  EXPECT_TRUE((Slo{1.0, 2.0}.Holds(report)));
  EXPECT_FALSE((Slo{0.999, std::nullopt}.Holds(report)));
  EXPECT_FALSE((Slo{1.0, 1.999}.Holds(report)));
}

}  // namespace
}  // namespace dragoman::client
