#include "model/routing/skip_counts.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/api/gate_rule.h"

namespace dragoman::model {
namespace {

using ::testing::ElementsAre;

StepRow RowOf(RowGroup group, float offset = 0) {
  StepRow row;
  row.group = group;
  row.skip_offset = offset;
  return row;
}

TEST(SkipCountsTest, CountsRowsOfBudgetsByLayerAndModule) {
  const std::vector<StepRow> rows = {RowOf(RowGroup::kForced), RowOf(RowGroup::kSource),
                                     RowOf(RowGroup::kSource), RowOf(RowGroup::kTarget, -0.7f)};
  const std::vector<uint8_t> gates = {kRunBoth, kRunBoth, kRunAttention, 0,
                                      kRunMlp,  0,        kRunMlp,       kRunBoth};
  SkipCounts counts;

  counts.Count(rows, gates, 2);

  EXPECT_THAT(counts.rows, ElementsAre(2, 1));
  // Source: layer 0, layer 1; target: layer 0, layer 1; attention before MLP.
  EXPECT_THAT(counts.skipped, ElementsAre(1, 1, 2, 2, 1, 0, 0, 0));
  // The target row has its dial elsewhere than where the router was calibrated.
  EXPECT_THAT(counts.calibrated_rows, ElementsAre(2, 0));
  EXPECT_THAT(counts.calibrated_skipped[0], ElementsAre(3, 3));
  EXPECT_THAT(counts.calibrated_skipped[1], ElementsAre(0, 0));
}

TEST(SkipCountsTest, ALayerIsActiveWhenAnyRowRunsItsModule) {
  const std::vector<StepRow> rows = {RowOf(RowGroup::kTarget), RowOf(RowGroup::kTarget)};
  SkipCounts counts;

  counts.Count(rows, std::vector<uint8_t>{kRunMlp, 0, kRunAttention, 0, kRunMlp, 0}, 3);

  EXPECT_THAT(counts.active_layers, ElementsAre(1, 2));
}

TEST(SkipCountsTest, AStepLeavesNothingToTheNext) {
  const std::vector<StepRow> rows = {RowOf(RowGroup::kTarget)};
  SkipCounts counts;
  counts.Count(rows, std::vector<uint8_t>{0, 0}, 2);

  counts.Count(rows, std::vector<uint8_t>{kRunBoth, kRunMlp}, 2);

  EXPECT_THAT(counts.rows, ElementsAre(0, 1));
  EXPECT_THAT(counts.skipped, ElementsAre(0, 0, 0, 0, 0, 0, 1, 0));
  EXPECT_THAT(counts.calibrated_skipped[1], ElementsAre(1, 0));
  EXPECT_THAT(counts.active_layers, ElementsAre(1, 2));
}

}  // namespace
}  // namespace dragoman::model
