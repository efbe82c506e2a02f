#include "client/cli/bench_options.h"

#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace dragoman::client {
namespace {

using ::testing::HasSubstr;

TEST(ParseSloTest, LimitsAreReadWithTheirUnits) {
  const absl::StatusOr<Slo> slo = ParseSlo("lag=250ms,first=3s");

  ASSERT_TRUE(slo.ok()) << slo.status();
  EXPECT_DOUBLE_EQ(slo->lag_seconds.value_or(0), 0.25);
  EXPECT_DOUBLE_EQ(slo->first_text_seconds.value_or(0), 3.0);
  EXPECT_FALSE(ParseSlo("")->lag_seconds.has_value());
}

TEST(ParseSloTest, WhatIsNoLimitIsRefused) {
  for (const char* text : {"lag", "lag=", "lag=3", "lag=-1s", "speed=3s", "lag=1s;first=2s"}) {
    EXPECT_EQ(ParseSlo(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

TEST(ParseArrivalTest, KnowsThreeKinds) {
  EXPECT_EQ(*ParseArrival("spread"), Arrival::kSpread);
  EXPECT_EQ(*ParseArrival("poisson"), Arrival::kPoisson);
  EXPECT_EQ(*ParseArrival("burst"), Arrival::kBurst);
  EXPECT_THAT(std::string(ParseArrival("Poisson").status().message()), HasSubstr("--arrival"));
}

TEST(ParseChaosTest, ReadsSharesInAnyOrder) {
  const absl::StatusOr<ChaosShares> shares = ParseChaos("slow=.05,cancel=.1");

  ASSERT_TRUE(shares.ok()) << shares.status();
  EXPECT_DOUBLE_EQ(shares->cancel, 0.1);
  EXPECT_DOUBLE_EQ(shares->slow, 0.05);
  EXPECT_DOUBLE_EQ(ParseChaos("slow=1")->cancel, 0.0);
  EXPECT_TRUE(ParseChaos("").ok());
}

TEST(ParseChaosTest, RefusalsNameTheFlagAndTheFault) {
  const std::pair<const char*, const char*> cases[] = {
      {"crash=.1", "crash"},           {"cancel=.1,cancel=.2", "twice"},
      {"cancel", "such as cancel=.1"}, {"cancel=ten", "such as cancel=.1"},
      {"cancel=1.1", "0 to 1"},        {"slow=-.1", "0 to 1"},
      {"slow=nan", "0 to 1"},          {"cancel=.6,slow=.5", "more than 1"},
  };
  for (const auto& [text, fault] : cases) {
    const absl::Status status = ParseChaos(text).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(std::string(status.message()), HasSubstr("--chaos")) << text;
    EXPECT_THAT(std::string(status.message()), HasSubstr(fault)) << text;
  }
}

class BenchPlanTest : public ::testing::Test {
 protected:
  BenchPlanTest() : path_(absl::StrCat(::testing::TempDir(), "/bench_plan_", getpid())) {
    EXPECT_TRUE(WriteFileAtomically(path_, "one two.\n three\n").ok());
    options_.source_language = "en";
    options_.target_language = "de";
    options_.file = path_;
  }
  ~BenchPlanTest() override { unlink(path_.c_str()); }

  // The plan must be refused, and the message must have this in it.
  void ExpectRefused(const char* text) {
    const absl::StatusOr<BenchPlan> plan = MakeBenchPlan(options_);
    EXPECT_EQ(plan.status().code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(std::string(plan.status().message()), HasSubstr(text));
  }

  const std::string path_;
  BenchOptions options_;
};

TEST_F(BenchPlanTest, DefaultsAreThoseOfAPlainRun) {
  const absl::StatusOr<BenchPlan> plan = MakeBenchPlan(options_);

  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->load.words, (std::vector<std::string>{"one", "two.", "three"}));
  EXPECT_EQ(plan->load.arrival, Arrival::kSpread);
  EXPECT_EQ(plan->load.duration, std::chrono::seconds(30));
  EXPECT_FALSE(plan->search.has_value());
  EXPECT_FALSE(plan->metrics.has_value());
  EXPECT_FALSE(plan->load.config.output().word_stamps());
  EXPECT_FALSE(plan->load.config.output().unstable_tail());
}

TEST_F(BenchPlanTest, TheRampIsAThirdOfTheDurationAndAtMostTenSeconds) {
  options_.arrival = "poisson";
  options_.duration_seconds = 6;
  EXPECT_EQ(MakeBenchPlan(options_)->load.ramp, std::chrono::seconds(2));
  options_.duration_seconds = 600;
  EXPECT_EQ(MakeBenchPlan(options_)->load.ramp, std::chrono::seconds(10));
  options_.ramp_seconds = 60;
  EXPECT_EQ(MakeBenchPlan(options_)->load.ramp, std::chrono::seconds(60));
  options_.ramp_seconds = 601;
  ExpectRefused("--ramp");
  options_.ramp_seconds = 0;
  ExpectRefused("--ramp");
  options_.arrival = "burst";
  options_.ramp_seconds = 1;
  ExpectRefused("--ramp");
}

TEST_F(BenchPlanTest, ASearchNeedsAnSloAndRoomToSearch) {
  options_.max_streams = 100;
  ExpectRefused("--max-streams");
  options_.find_slots = true;
  ExpectRefused("--slo");
  options_.slo = "lag=1s";
  ASSERT_TRUE(MakeBenchPlan(options_).ok()) << MakeBenchPlan(options_).status();
  EXPECT_EQ(MakeBenchPlan(options_)->search->first_streams, 16u);
  EXPECT_EQ(MakeBenchPlan(options_)->search->max_streams, 100u);
  options_.max_streams = 15;
  ExpectRefused("--max-streams");
  options_.max_streams = 4097;
  ExpectRefused("--max-streams");
  options_.max_streams.reset();
  EXPECT_EQ(MakeBenchPlan(options_)->search->max_streams, 1024u);
}

TEST_F(BenchPlanTest, BadPlacesAreNamedBeforeTheRun) {
  options_.metrics = "http://192.0.2.1:9464/metrics";
  ExpectRefused("--metrics");
  options_.metrics = "";
  options_.out = path_ + "/report.json";
  ExpectRefused("--out");
  options_.out = ::testing::TempDir();
  ExpectRefused("--out");
}

TEST_F(BenchPlanTest, AnSloNeedsAnOrderlySession) {
  options_.slo = "lag=1s";
  options_.chaos = "cancel=.5,slow=.5";
  ExpectRefused("--chaos");
  options_.slo = "";
  EXPECT_TRUE(MakeBenchPlan(options_).ok());
}

}  // namespace
}  // namespace dragoman::client
