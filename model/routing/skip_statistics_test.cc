#include "model/routing/skip_statistics.h"

#include "gtest/gtest.h"

namespace dragoman::model {
namespace {

// One layer of "config X" of skip_routing.md section 4.4.
ModelConfig OneLayer() {
  ModelConfig config;
  config.vocab_size = 16000;
  config.hidden_size = 320;
  config.num_layers = 1;
  config.num_heads = 5;
  config.num_kv_heads = 1;
  config.head_dim = 64;
  config.ffn_size = 864;
  return config;
}

TEST(SkipStatisticsTest, GivesTheFourRatesOfTheWorkedExample) {
  // Rows 0 (T), 1 and 2 (S), 3 (forced) with the gates of worked example B, theta 0.
  std::vector<StepRow> rows(4);
  rows[0].group = RowGroup::kTarget;
  rows[1].group = rows[2].group = RowGroup::kSource;
  const std::vector<uint8_t> gates = {kRunBoth, 0, kRunMlp, kRunBoth};
  SkipStatistics statistics(OneLayer());

  statistics.Add(rows, gates, {});

  EXPECT_EQ(statistics.rows(RowGroup::kSource), 2);
  EXPECT_EQ(statistics.rows(RowGroup::kTarget), 1);
  EXPECT_DOUBLE_EQ(statistics.SkipRate(RowGroup::kSource, 0, 0), 1.0);
  EXPECT_DOUBLE_EQ(statistics.SkipRate(RowGroup::kSource, 0, 1), 0.5);
  EXPECT_DOUBLE_EQ(statistics.SkipRate(RowGroup::kTarget, 0, 0), 0.0);
  EXPECT_DOUBLE_EQ(statistics.Claimed(RowGroup::kSource), 0.75);
  // (245,760 + 0.5 * 829,440) / 1,075,200
  EXPECT_NEAR(statistics.ParameterWeighted(RowGroup::kSource), 0.6142857, 1e-6);
  // Linear FLOP of the example, and the router's own 4 E a row.
  EXPECT_NEAR(statistics.Realised(), 1 - (6123520.0 + 4 * 4 * 320) / 8601600, 1e-9);
  // Every module has an active row, so no weight byte is saved.
  EXPECT_DOUBLE_EQ(statistics.UnionActivity(0), 1.0);
  EXPECT_DOUBLE_EQ(statistics.UnionActivity(1), 1.0);
  EXPECT_DOUBLE_EQ(statistics.WeightsRead(), 1.0);
}

TEST(SkipStatisticsTest, ModulesWithoutAnActiveRowAreNotRead) {
  std::vector<StepRow> rows(1);
  rows[0].group = RowGroup::kTarget;
  rows[0].want_logits = true;
  SkipStatistics statistics(OneLayer());

  statistics.Add(rows, std::vector<uint8_t>{kRunAttention}, {});

  const double head = 16000.0 * 320;
  EXPECT_DOUBLE_EQ(statistics.WeightsRead(), (245760 + head) / (245760 + 829440 + head));
}

TEST(SkipStatisticsTest, KeysCountInTheRealisedRate) {
  std::vector<StepRow> rows(1);
  rows[0].group = RowGroup::kTarget;
  SkipStatistics few(OneLayer()), many(OneLayer());

  few.Add(rows, std::vector<uint8_t>{kRunMlp}, std::vector<int32_t>{1});
  many.Add(rows, std::vector<uint8_t>{kRunMlp}, std::vector<int32_t>{1000});

  EXPECT_GT(many.Realised(), few.Realised());
}

}  // namespace
}  // namespace dragoman::model
