#include "client/cli/bench_command.h"

#include "gtest/gtest.h"

namespace dragoman::client {
namespace {

TEST(SloTest, LimitsAreReadWithTheirUnits) {
  const absl::StatusOr<Slo> slo = ParseSlo("lag=250ms,first=3s");

  ASSERT_TRUE(slo.ok()) << slo.status();
  EXPECT_DOUBLE_EQ(slo->lag_seconds.value_or(0), 0.25);
  EXPECT_DOUBLE_EQ(slo->first_text_seconds.value_or(0), 3.0);
}

TEST(SloTest, WhatIsNoLimitIsRefused) {
  for (const char* text : {"lag", "lag=", "lag=3", "lag=-1s", "speed=3s", "lag=1s;first=2s"}) {
    EXPECT_EQ(ParseSlo(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

TEST(SloTest, HoldsUpToTheLimitAndWithoutOne) {
  LoadReport report;
  report.lag_seconds.p99 = 1.0;
  report.first_text_seconds.p99 = 2.0;

  EXPECT_TRUE(ParseSlo("")->Holds(report));
  EXPECT_TRUE(ParseSlo("lag=1s,first=2s")->Holds(report));
  EXPECT_FALSE(ParseSlo("lag=999ms")->Holds(report));
  EXPECT_FALSE(ParseSlo("lag=1s,first=1999ms")->Holds(report));
}

}  // namespace
}  // namespace dragoman::client
