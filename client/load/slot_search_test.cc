#include "client/load/slot_search.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace dragoman::client {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

SlotTrial Trial(size_t streams, TrialVerdict verdict) {
  SlotTrial trial;
  trial.streams = streams;
  trial.verdict = verdict;
  return trial;
}

// A server that carries `slots` streams.
auto ServerOf(size_t slots) {
  return [slots](size_t streams) -> std::optional<SlotTrial> {
    return Trial(streams, streams <= slots ? TrialVerdict::kHolds : TrialVerdict::kMisses);
  };
}

SlotSearchOptions From(size_t first, size_t max = 1024) {
  SlotSearchOptions options;
  options.first_streams = first;
  options.max_streams = max;
  return options;
}

std::vector<size_t> Streams(const SlotSearchResult& result) {
  std::vector<size_t> streams;
  for (const SlotTrial& trial : result.trials) streams.push_back(trial.streams);
  return streams;
}

TEST(SlotSearchTest, DoublesThenHalvesTheInterval) {
  const auto result = FindSlots(From(16), ServerOf(100));

  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_THAT(Streams(*result), ElementsAre(16, 32, 64, 128, 96, 112, 104, 100));
  EXPECT_EQ(result->slots, 100u);
  EXPECT_EQ(result->limit, SlotLimit::kSlo);
}

TEST(SlotSearchTest, IsNearAnyLimitAndNeverAboveIt) {
  for (size_t slots = 0; slots <= 300; ++slots) {
    const auto result = FindSlots(From(7), ServerOf(slots));
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_LE(result->slots, slots);
    EXPECT_LE(slots - result->slots, slots / 19 + 1) << slots;  // 5 % of the upper border
    EXPECT_LE(result->trials.size(), 14u) << slots;
  }
}

TEST(SlotSearchTest, StopsAtTheUpperLimitThatHolds) {
  const auto result = FindSlots(From(16, 100), ServerOf(5000));

  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_THAT(Streams(*result), ElementsAre(16, 32, 64, 100));
  EXPECT_EQ(result->slots, 100u);
  EXPECT_EQ(result->limit, SlotLimit::kMaxStreams);
}

TEST(SlotSearchTest, GoesDownWhenTheFirstTrialMisses) {
  const auto result = FindSlots(From(16), ServerOf(3));

  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_THAT(Streams(*result), ElementsAre(16, 8, 4, 2, 3));
  EXPECT_EQ(result->slots, 3u);
}

TEST(SlotSearchTest, SaysZeroWhenNotEvenOneStreamHolds) {
  const auto result = FindSlots(From(4), ServerOf(0));

  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_THAT(Streams(*result), ElementsAre(4, 2, 1));
  EXPECT_EQ(result->slots, 0u);
  EXPECT_EQ(result->limit, SlotLimit::kSlo);
}

TEST(SlotSearchTest, AnInvalidTrialIsMadeOnceMore) {
  bool late = true;
  const auto result = FindSlots(From(16, 32), [&](size_t streams) -> std::optional<SlotTrial> {
    if (streams == 32 && late) {
      late = false;
      return Trial(streams, TrialVerdict::kInvalid);
    }
    return Trial(streams, TrialVerdict::kHolds);
  });

  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_THAT(Streams(*result), ElementsAre(16, 32, 32));
  EXPECT_EQ(result->slots, 32u);
  EXPECT_EQ(result->limit, SlotLimit::kMaxStreams);
}

TEST(SlotSearchTest, ALateGeneratorIsTheLimitAndNotTheServer) {
  const auto result = FindSlots(From(16), [](size_t streams) -> std::optional<SlotTrial> {
    return Trial(streams, streams <= 40 ? TrialVerdict::kHolds : TrialVerdict::kInvalid);
  });

  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_LE(result->slots, 40u);
  EXPECT_GE(result->slots, 38u);
  EXPECT_EQ(result->limit, SlotLimit::kGenerator);
}

TEST(SlotSearchTest, TheLimitIsThatOfTheNearestTrialThatDidNotHold) {
  const auto result = FindSlots(From(64), [](size_t streams) -> std::optional<SlotTrial> {
    if (streams >= 100) return Trial(streams, TrialVerdict::kInvalid);
    return Trial(streams, streams <= 80 ? TrialVerdict::kHolds : TrialVerdict::kMisses);
  });

  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_LE(result->slots, 80u);
  EXPECT_EQ(result->limit, SlotLimit::kSlo);
}

TEST(SlotSearchTest, StopsWhenATrialCannotBeMade) {
  const auto result = FindSlots(From(16), [](size_t streams) -> std::optional<SlotTrial> {
    if (streams > 16) return std::nullopt;
    return Trial(streams, TrialVerdict::kHolds);
  });

  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->slots, 16u);
  EXPECT_EQ(result->limit, SlotLimit::kStopped);
  EXPECT_EQ(result->trials.size(), 1u);
}

TEST(SlotSearchTest, ImpossibleOptionsAreRefused) {
  EXPECT_EQ(FindSlots(From(0), ServerOf(1)).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(FindSlots(From(9, 8), ServerOf(1)).status().code(), absl::StatusCode::kInvalidArgument);
  SlotSearchOptions options = From(1);
  options.precision = 0.0;
  EXPECT_EQ(FindSlots(options, ServerOf(1)).status().code(), absl::StatusCode::kInvalidArgument);
}

LoadReport GoodReport() {
  LoadReport report;
  report.streams = report.completed = 8;
  report.lag_seconds = {80, 0.01, 0.02, 0.03, 0.04};
  report.first_text_seconds = {8, 1.0, 1.1, 1.2, 1.2};
  report.late_seconds = {80, 0.0, 0.0, 0.001, 0.002};
  return report;
}

TEST(JudgeTrialTest, HoldsWithItsFigures) {
  const SlotTrial trial = JudgeTrial(GoodReport(), Slo{0.03, 1.2});

  EXPECT_EQ(trial.verdict, TrialVerdict::kHolds);
  EXPECT_EQ(trial.reason, "");
  EXPECT_EQ(trial.streams, 8u);
  EXPECT_DOUBLE_EQ(trial.lag_p99_seconds, 0.03);
  EXPECT_DOUBLE_EQ(trial.first_text_p99_seconds, 1.2);
}

TEST(JudgeTrialTest, ALateGeneratorMakesItInvalidWhateverTheLags) {
  LoadReport report = GoodReport();
  report.late_seconds.p99 = 0.051;

  EXPECT_EQ(JudgeTrial(report, Slo{0.03, 1.2}).verdict, TrialVerdict::kInvalid);
  EXPECT_EQ(JudgeTrial(report, Slo{0.001, 1.2}).verdict, TrialVerdict::kInvalid);
  EXPECT_THAT(JudgeTrial(report, Slo{0.03, 1.2}).reason, HasSubstr("load generator"));
}

TEST(JudgeTrialTest, FailedSessionsSlownessAndSilenceMiss) {
  LoadReport refused = GoodReport();
  refused.refused = 2;
  LoadReport silent = GoodReport();
  silent.lag_seconds = {};

  EXPECT_EQ(JudgeTrial(refused, Slo{9.0, 9.0}).verdict, TrialVerdict::kMisses);
  EXPECT_EQ(JudgeTrial(refused, Slo{9.0, 9.0}).errors, 2u);
  EXPECT_EQ(JudgeTrial(GoodReport(), Slo{0.02, 9.0}).verdict, TrialVerdict::kMisses);
  EXPECT_EQ(JudgeTrial(silent, Slo{9.0, 9.0}).verdict, TrialVerdict::kMisses);
}

}  // namespace
}  // namespace dragoman::client
