// What gates cost on held-out pairs, and the importance of modules (skip_routing.md section 9).
#include "model/train/held_out.h"

#include "gtest/gtest.h"
#include "model/train/train_test_data.h"
#include "torch/torch.h"

namespace dragoman::model {
namespace {

// A random model of two layers and 200 toy pairs.
struct ToyRun {
  ModelConfig model = TinyTrainModel();
  TransformerWeights weights = InitWeights(model, 5);
  RotaryTable rotary{model, model.max_positions, torch::kFloat32, torch::kCPU};
  std::vector<MicroBatch> batches;

  ToyRun() {
    const std::vector<Sample> samples = ToySamples(200, 9);
    std::vector<const Sample*> pointers;
    for (const Sample& sample : samples) pointers.push_back(&sample);
    batches = {Pack(pointers, {TinyTrainLayout()}, {})};
  }
  HeldOutResult Measure(const MakeGatesFn& gates) {
    return MeasureHeldOut(model, weights, rotary, batches, {}, gates);
  }
};

TEST(HeldOutTest, GatesThatAllExecuteCostNothing) {
  ToyRun run;
  const RouterTensors open =
      MakeRouterTensors(ConstantRouter(run.model, {kRunBoth, kRunBoth}), torch::kCPU);

  const HeldOutResult dense = run.Measure({});
  const HeldOutResult gated = run.Measure([&](const MicroBatch& batch) {
    return RowGates::Deterministic(open, run.model, batch.form.groups);
  });

  EXPECT_NEAR(dense.loss, gated.loss, 1e-5);
  EXPECT_GT(dense.loss, 2.0) << "a random model knows nothing of 64 tokens";
  EXPECT_EQ(gated.rates, (std::array<double, 2>{0, 0}));
}

TEST(HeldOutTest, RandomGatesMeetTheRatesOfEachGroup) {
  ToyRun run;
  Router router = ConstantRouter(run.model, {kRunBoth, kRunBoth});
  router.exempt = {1, 0};
  const RouterTensors tensors = MakeRouterTensors(router, torch::kCPU);
  torch::manual_seed(3);

  const HeldOutResult random = run.Measure([&](const MicroBatch& batch) {
    return RowGates::Random(tensors, run.model, batch.form.groups, {0.2, 0.4});
  });

  EXPECT_NEAR(random.rates[0], 0.2, 0.02);
  EXPECT_NEAR(random.rates[1], 0.4, 0.02);
}

TEST(HeldOutTest, AModuleWithoutOutputHasNoImportance) {
  ToyRun run;
  {
    torch::NoGradGuard no_grad;
    run.weights.layers[0].output.weight.zero_();
    run.weights.layers[1].output.weight.zero_();
    run.weights.layers[1].down.weight.zero_();
    run.weights.layers[0].down.weight.mul_(30);
  }

  const ModuleImportance importance =
      MeasureImportance(run.model, run.weights, run.rotary, run.batches, {});

  ASSERT_EQ(importance.modules.size(), 4u);
  EXPECT_NEAR(importance.modules[0], 0, 1e-6);
  EXPECT_GT(importance.modules[1], 1e-4);
  EXPECT_NEAR(importance.modules[2], 0, 1e-6);
  EXPECT_NEAR(importance.modules[3], 0, 1e-6);
  EXPECT_NEAR(importance.layers[0], importance.modules[1], 1e-6);
  EXPECT_NEAR(importance.layers[1], 0, 1e-6);
}

}  // namespace
}  // namespace dragoman::model
