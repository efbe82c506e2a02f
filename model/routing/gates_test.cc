#include "model/routing/gates.h"

#include <cmath>
#include <limits>

#include "gtest/gtest.h"

namespace dragoman::model {
namespace {

Router TwoLayerRouter() {
  Router router;
  router.num_layers = 2;
  router.width = 4;
  router.weight.assign(16, 0.0f);
  router.bias = {0, 0, 1, 1, 0, 0, -1, -1};
  router.exempt = {1, 0};
  return router;
}

StepRow RowOf(RowGroup group, int32_t position = 3) {
  StepRow row;
  row.group = group;
  row.position = position;
  return row;
}

TEST(GatesTest, ExecuteAboveTheThresholdOfTheGroup) {
  Router router = TwoLayerRouter();
  router.theta = {0.5f, -0.5f};

  // Layer 1: bias +1 for source rows, -1 for target rows.
  EXPECT_EQ(GatesFromScores(router, RowOf(RowGroup::kSource), 1, -0.4f, -0.6f), kRunAttention);
  EXPECT_EQ(GatesFromScores(router, RowOf(RowGroup::kTarget), 1, 0.4f, 0.6f), kRunMlp);
  EXPECT_EQ(GatesFromScores(router, RowOf(RowGroup::kSource), 1, -0.5f, -0.5f), 0);
}

TEST(GatesTest, AnOffsetMovesTheThresholdOfItsRow) {
  const Router router = TwoLayerRouter();
  StepRow row = RowOf(RowGroup::kSource);
  EXPECT_EQ(GatesFromScores(router, row, 0, 0.5f, 0.5f), kRunBoth);

  row.skip_offset = 1.0f;

  EXPECT_EQ(GatesFromScores(router, row, 0, 0.5f, 0.5f), 0);
}

TEST(GatesTest, ForcedRowsAndScoresThatAreNoNumbersExecute) {
  const Router router = TwoLayerRouter();
  const float nan = std::numeric_limits<float>::quiet_NaN();

  EXPECT_EQ(GatesFromScores(router, RowOf(RowGroup::kForced), 1, -9, -9), kRunBoth);
  EXPECT_EQ(GatesFromScores(router, RowOf(RowGroup::kSource), 1, nan, nan), kRunBoth);
}

TEST(GatesTest, RandomGatesRepeatAndKeepTheirRates) {
  RandomGates random;
  random.attention_rate = {0.25, 0.6};
  random.mlp_rate = {0.5, 0.1};
  random.exempt = {0, 1};
  const GateRule rule = random;
  int skipped[2][2] = {};
  constexpr int kRows = 20000;

  for (int i = 0; i < kRows; ++i) {
    for (const RowGroup group : {RowGroup::kSource, RowGroup::kTarget}) {
      StepRow row = RowOf(group, i);
      row.side = group == RowGroup::kTarget ? Side::kTarget : Side::kSource;
      const uint8_t gates = GatesWithoutScores(rule, row, 0);
      ASSERT_EQ(gates, GatesWithoutScores(rule, row, 0));
      ASSERT_EQ(GatesWithoutScores(rule, row, 1), kRunBoth) << "exempt";
      const int g = group == RowGroup::kTarget ? 1 : 0;
      skipped[g][0] += (gates & kRunAttention) == 0;
      skipped[g][1] += (gates & kRunMlp) == 0;
    }
  }

  EXPECT_NEAR(skipped[0][0] / double{kRows}, 0.25, 0.02);
  EXPECT_NEAR(skipped[0][1] / double{kRows}, 0.5, 0.02);
  EXPECT_NEAR(skipped[1][0] / double{kRows}, 0.6, 0.02);
  EXPECT_NEAR(skipped[1][1] / double{kRows}, 0.1, 0.02);
}

TEST(GatesTest, FixedGatesAreThoseOfTheGroup) {
  const GateRule rule = FixedGates{{{{kRunMlp, kRunBoth}, {kRunBoth, kRunBoth}}}};

  EXPECT_EQ(GatesWithoutScores(rule, RowOf(RowGroup::kSource), 0), kRunMlp);
  EXPECT_EQ(GatesWithoutScores(rule, RowOf(RowGroup::kTarget), 0), kRunBoth);
  EXPECT_FALSE(IsExempt(rule, 0));
  EXPECT_TRUE(IsExempt(rule, 1));
}

TEST(GatesTest, RulesOfOtherShapesAreRefused) {
  ModelConfig config;
  config.num_layers = 2;
  config.hidden_size = 4;
  EXPECT_TRUE(CheckGateRule(TwoLayerRouter(), config).ok());

  config.num_layers = 3;

  EXPECT_EQ(CheckGateRule(TwoLayerRouter(), config).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_FALSE(CheckGateRule(RandomGates{}, config).ok());
  EXPECT_FALSE(CheckGateRule(FixedGates{}, config).ok());
  config.num_layers = 2;
  Router short_bias = TwoLayerRouter();
  short_bias.bias.pop_back();
  EXPECT_FALSE(CheckGateRule(short_bias, config).ok());
}

}  // namespace
}  // namespace dragoman::model
