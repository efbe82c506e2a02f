#include "model/routing/static_pruning.h"

#include "gtest/gtest.h"
#include "model/routing/gates.h"
#include "model/routing/skip_statistics.h"

namespace dragoman::model {
namespace {

// 8 layers; attention is a quarter of a layer's weights: 0.03125 and 0.09375 of all blocks.
ModelConfig EightLayers() {
  ModelConfig model;
  model.num_layers = 8;
  model.hidden_size = 512;
  model.num_heads = 8;
  model.num_kv_heads = 2;
  model.head_dim = 64;
  model.ffn_size = 1280;
  return model;
}

// Layers 5 and 2 change least; of single modules, attention of 3 and 4 and the MLPs of 5 and 6.
ModuleImportance SomeImportance() {
  ModuleImportance importance;
  importance.layers = {0.9, 0.5, 0.2, 0.4, 0.4, 0.1, 0.3, 0.6};
  importance.modules.assign(16, 0.5);
  importance.modules[2 * 3] = 0.01;
  importance.modules[2 * 4] = 0.02;
  importance.modules[2 * 5 + 1] = 0.03;
  importance.modules[2 * 6 + 1] = 0.04;
  return importance;
}

const std::vector<uint8_t> kNoneExempt(8, 0);

TEST(StaticPruningTest, BlockInfluenceDropsTheLayersThatChangeLeast) {
  const auto gates = ChoosePrunedModules(PruneMethod::kBlockInfluence, SomeImportance(),
                                         EightLayers(), 0.25, kNoneExempt);
  ASSERT_TRUE(gates.ok()) << gates.status();
  EXPECT_EQ(*gates, (std::vector<uint8_t>{3, 3, 0, 3, 3, 0, 3, 3}));
}

TEST(StaticPruningTest, ExemptLayersStay) {
  std::vector<uint8_t> exempt = kNoneExempt;
  exempt[5] = 1;
  const auto gates = ChoosePrunedModules(PruneMethod::kBlockInfluence, SomeImportance(),
                                         EightLayers(), 0.25, exempt);
  ASSERT_TRUE(gates.ok()) << gates.status();
  EXPECT_EQ(*gates, (std::vector<uint8_t>{3, 3, 0, 3, 3, 3, 0, 3}));
}

TEST(StaticPruningTest, StaticDropsSingleModulesInOneList) {
  const auto gates =
      ChoosePrunedModules(PruneMethod::kStatic, SomeImportance(), EightLayers(), 0.25, kNoneExempt);
  ASSERT_TRUE(gates.ok()) << gates.status();
  EXPECT_EQ(*gates,
            (std::vector<uint8_t>{3, 3, 3, kRunMlp, kRunMlp, kRunAttention, kRunAttention, 3}));
}

TEST(StaticPruningTest, UniformKeepsFirstAndLastAndEvenlyBetween) {
  const auto gates =
      ChoosePrunedModules(PruneMethod::kUniform, {}, EightLayers(), 0.25, kNoneExempt);
  ASSERT_TRUE(gates.ok()) << gates.status();
  // round(j * 7 / 5) for j = 0..5: 0, 1, 3, 4, 6, 7.
  EXPECT_EQ(*gates, (std::vector<uint8_t>{3, 3, 0, 3, 3, 0, 3, 3}));
}

TEST(StaticPruningTest, ARateBetweenTheStepsIsRefusedWithTheOneThatExists) {
  const auto gates = ChoosePrunedModules(PruneMethod::kBlockInfluence, SomeImportance(),
                                         EightLayers(), 0.30, kNoneExempt);
  ASSERT_TRUE(absl::IsFailedPrecondition(gates.status())) << gates.status();
  EXPECT_NE(gates.status().message().find("0.250"), std::string::npos) << gates.status();
}

TEST(StaticPruningTest, BadInputIsRefused) {
  ModuleImportance short_one = SomeImportance();
  short_one.modules.pop_back();
  EXPECT_TRUE(absl::IsInvalidArgument(
      ChoosePrunedModules(PruneMethod::kStatic, short_one, EightLayers(), 0.25, kNoneExempt)
          .status()));
  EXPECT_TRUE(absl::IsInvalidArgument(
      ChoosePrunedModules(PruneMethod::kStatic, SomeImportance(), EightLayers(), 1.0, kNoneExempt)
          .status()));
  EXPECT_TRUE(absl::IsInvalidArgument(ParsePruneMethod("magnitude").status()));
}

TEST(StaticPruningTest, AConstantRouterGivesItsGatesUnderEveryDial) {
  const std::vector<uint8_t> gates = {3, 1, 2, 0, 3, 3, 0, 1};
  const Router router = ConstantRouter(EightLayers(), gates);
  ASSERT_TRUE(CheckGateRule(router, EightLayers()).ok());

  for (const float offset : {-10.0f, 0.0f, 10.0f}) {
    for (const RowGroup group : {RowGroup::kSource, RowGroup::kTarget}) {
      for (int64_t layer = 0; layer < 8; ++layer) {
        StepRow row;
        row.group = group;
        row.skip_offset = offset;
        EXPECT_EQ(GatesFromScores(router, row, layer, 0, 0), gates[static_cast<size_t>(layer)]);
      }
    }
  }
  StepRow forced;
  forced.group = RowGroup::kForced;
  EXPECT_EQ(GatesFromScores(router, forced, 3, 0, 0), kRunBoth);
}

}  // namespace
}  // namespace dragoman::model
