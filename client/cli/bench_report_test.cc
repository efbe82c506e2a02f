#include "client/cli/bench_report.h"

#include "base/json.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace dragoman::client {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

SlotTrial Trial(size_t streams, TrialVerdict verdict, const std::string& reason) {
  SlotTrial trial;
  trial.streams = streams;
  trial.verdict = verdict;
  trial.reason = reason;
  trial.lag_p99_seconds = 0.25;
  trial.errors = 3;
  return trial;
}

BenchResult FullResult() {
  BenchResult result;
  result.load.streams = 8;
  result.load.completed = 5;
  result.load.cancelled = 2;
  result.load.slow = 1;
  result.load.final_bytes = 200;
  result.load.withdrawn_bytes = 50;
  result.unstable_tail = true;
  result.counters.emplace();
  result.counters->results = {{"dragoman_events_total", 7, {5, CountRange::kUnlimited}},
                              {"dragoman_segments_total", 3, {4, 4}}};
  result.counters->absent = {"dragoman_other_total"};
  result.slot_search.emplace();
  result.slot_search->slots = 16;
  result.slot_search->limit = SlotLimit::kGenerator;
  result.slot_search->trials = {Trial(16, TrialVerdict::kHolds, ""),
                                Trial(32, TrialVerdict::kInvalid, "late")};
  return result;
}

TEST(BenchReportTest, JsonHasEachPartThatWasAskedFor) {
  const auto json = ParseJson(BenchReportJson(FullResult()));

  ASSERT_TRUE(json.ok()) << json.status();
  EXPECT_EQ((*json)["cancelled"], 2);
  EXPECT_EQ((*json)["slow"], 1);
  EXPECT_EQ((*json)["flicker"]["ratio"], 0.25);
  EXPECT_EQ((*json)["slots"], 16);
  EXPECT_EQ((*json)["slots_limited_by"], "generator");
  ASSERT_EQ((*json)["trials"].size(), 2u);
  EXPECT_EQ((*json)["trials"][1]["streams"], 32);
  EXPECT_EQ((*json)["trials"][1]["verdict"], "invalid");
  EXPECT_EQ((*json)["trials"][1]["lag_p99_seconds"], 0.25);
  const Json& counters = (*json)["server_counters"];
  EXPECT_EQ(counters["agree"], false);
  EXPECT_EQ(counters["counters"]["dragoman_events_total"]["server"], 7);
  EXPECT_TRUE(counters["counters"]["dragoman_events_total"]["client_most"].is_null());
  EXPECT_EQ(counters["counters"]["dragoman_segments_total"]["client_most"], 4);
  EXPECT_EQ(counters["counters"]["dragoman_segments_total"]["agrees"], false);
  EXPECT_EQ(counters["absent"][0], "dragoman_other_total");
}

TEST(BenchReportTest, JsonOfAPlainRunHasNoOtherParts) {
  const auto json = ParseJson(BenchReportJson(BenchResult{}));

  ASSERT_TRUE(json.ok()) << json.status();
  EXPECT_TRUE(json->contains("lag_seconds"));
  for (const char* part : {"laal_words", "flicker", "slots", "trials", "server_counters"}) {
    EXPECT_FALSE(json->contains(part)) << part;
  }
}

TEST(BenchReportTest, TextSaysWhoseLimitWasFound) {
  BenchResult result = FullResult();
  EXPECT_THAT(BenchReportText(result), HasSubstr("slots: 16 or more; the load generator"));
  EXPECT_THAT(BenchReportText(result), HasSubstr("2 cancelled and 1 slow on purpose"));
  EXPECT_THAT(BenchReportText(result), HasSubstr("1 of 2 agree"));
  EXPECT_THAT(BenchReportText(result), HasSubstr("flicker: 50 bytes"));
  result.slot_search->limit = SlotLimit::kSlo;
  EXPECT_THAT(BenchReportText(result), HasSubstr("slots: 16; more streams miss the SLO"));
  EXPECT_THAT(BenchReportText(BenchResult{}), Not(HasSubstr("slots")));
}

TEST(BenchReportTest, ATrialIsOneLine) {
  EXPECT_EQ(TrialLine(Trial(32, TrialVerdict::kInvalid, "late")),
            "trial: 32 streams, lag p99 0.250 s, first p99 0.000 s, 3 errors: invalid (late)");
}

}  // namespace
}  // namespace dragoman::client
