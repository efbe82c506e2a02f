// R14 of skip_routing.md section 12: a static export equals the routed run with those gates at 0.
#include "model/train/static_export.h"

#include "gtest/gtest.h"
#include "model/routing/static_pruning.h"
#include "model/torch/training_form.h"
#include "model/train/packer.h"
#include "model/train/router_stage.h"
#include "model/train/train_test_data.h"
#include "torch/torch.h"

namespace dragoman::model {
namespace {

ModelConfig FourLayers() {
  ModelConfig model = TinyTrainModel();
  model.num_layers = 4;
  return model;
}

MicroBatch ToyBatch() {
  const std::vector<Sample> samples = ToySamples(20, 9);
  std::vector<const Sample*> pointers;
  for (const Sample& sample : samples) pointers.push_back(&sample);
  MicroBatch batch = Pack(pointers, {TinyTrainLayout()}, {});
  // No forced rows: an export drops modules for them too.
  batch.form.groups = torch::where(batch.form.groups == 0, 1, batch.form.groups);
  return batch;
}

torch::Tensor HiddenOf(const ModelConfig& model, const TransformerWeights& weights,
                       const MicroBatch& batch, const Router* router) {
  torch::NoGradGuard no_grad;
  const RotaryTable rotary(model, model.max_positions, torch::kFloat32, torch::kCPU);
  ForwardOptions options;
  if (router == nullptr) return RunTrainingForm(model, weights, rotary, batch.form, options);
  const RouterTensors tensors = MakeRouterTensors(*router, torch::kCPU);
  RowGates gates = RowGates::Deterministic(tensors, model, batch.form.groups);
  options.gates = gates.function();
  return RunTrainingForm(model, weights, rotary, batch.form, options);
}

TEST(StaticExportTest, R14_EqualsTheRunThatSkipsForAllRows) {
  const ModelConfig model = FourLayers();
  const TransformerWeights weights = InitWeights(model, 5);
  const std::vector<uint8_t> kept = {kRunBoth, kRunMlp, 0, kRunAttention};
  const Router router = ConstantRouter(model, kept);
  const MicroBatch batch = ToyBatch();

  const StaticModel pruned =
      DropModules(model, weights, router, {0, kRunAttention, kRunBoth, kRunMlp});

  ASSERT_EQ(pruned.config.num_layers, 3);
  EXPECT_EQ(pruned.config.layers,
            (std::vector<LayerModules>{{true, true}, {false, true}, {true, false}}));
  EXPECT_FALSE(pruned.router.has_value()) << "nothing is left to decide";
  EXPECT_LT(pruned.config.ParameterCount(), model.ParameterCount());
  EXPECT_TRUE(torch::equal(HiddenOf(pruned.config, pruned.weights, batch, nullptr),
                           HiddenOf(model, weights, batch, &router)));
  // The model that it came from is as it was.
  EXPECT_TRUE(weights.layers[1].qkv.weight.defined());
}

TEST(StaticExportTest, ARouterGoesOnWithTheModulesThatAreLeft) {
  const ModelConfig model = FourLayers();
  const TransformerWeights weights = InitWeights(model, 5);
  RouterConfig options;
  options.exempt_layers = std::vector<int64_t>();
  Router router = InitRouter(options, model, 1);
  for (float& weight : router.weight) weight *= 20;
  for (float& bias : router.bias) bias = 0;
  // Layer 1 never runs anything, layer 2 no MLP.
  const auto never = [&](int64_t layer, int module) {
    for (size_t group = 0; group < 2; ++group) {
      router.bias[(group * 4 + static_cast<size_t>(layer)) * 2 + static_cast<size_t>(module)] =
          -kCertainScore;
    }
  };
  never(1, 0);
  never(1, 1);
  never(2, 1);
  const MicroBatch batch = ToyBatch();

  const StaticModel pruned = DropModules(model, weights, router, {0, kRunBoth, kRunMlp, 0});

  ASSERT_TRUE(pruned.router.has_value());
  EXPECT_EQ(pruned.router->num_layers, 3);
  EXPECT_TRUE(torch::equal(HiddenOf(pruned.config, pruned.weights, batch, &*pruned.router),
                           HiddenOf(model, weights, batch, &router)));
}

TEST(StaticExportTest, WholeLayersLeaveAModelLikeAnyOther) {
  const ModelConfig model = FourLayers();

  const StaticModel pruned =
      DropModules(model, InitWeights(model, 5), ConstantRouter(model, {3, 0, 0, 3}),
                  {0, kRunBoth, kRunBoth, 0});

  EXPECT_EQ(pruned.config.num_layers, 2);
  EXPECT_TRUE(pruned.config.layers.empty());
}

TEST(StaticExportTest, DroppingTheRestOfALayerRemovesIt) {
  const ModelConfig model = FourLayers();
  const StaticModel first =
      DropModules(model, InitWeights(model, 5), ConstantRouter(model, {3, kRunMlp, 3, 3}),
                  {0, kRunAttention, 0, 0});

  const StaticModel second = DropModules(
      first.config, first.weights, ConstantRouter(first.config, {3, 0, 3, 3}), {0, kRunMlp, 0, 0});

  EXPECT_EQ(second.config.num_layers, 3);
  EXPECT_TRUE(second.config.layers.empty());
}

}  // namespace
}  // namespace dragoman::model
