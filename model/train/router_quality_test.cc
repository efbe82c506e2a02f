// R14 of skip_routing.md section 12: what a trained router costs beside random gates and static
// pruning of the same rate.
#include "gtest/gtest.h"
#include "model/train/held_out.h"
#include "model/train/train_test_data.h"
#include "model/train/trainer.h"
#include "torch/torch.h"

namespace dragoman::model {
namespace {

constexpr std::array<double, 2> kRates = {0.25, 0.25};

ModelConfig ModelOf(int64_t layers) {
  ModelConfig model = TinyTrainModel();
  model.num_layers = layers;
  return model;
}

MicroBatch HeldOutBatch() {
  const std::vector<Sample> samples = ToySamples(150, 1234);
  std::vector<const Sample*> pointers;
  for (const Sample& sample : samples) pointers.push_back(&sample);
  return Pack(pointers, {TinyTrainLayout()}, {});
}

// Trains to the end of `config` and gives what `result` reads from the trainer.
template <typename Result>
auto Train(const TrainConfig& config, const ModelConfig& model, const std::vector<Sample>& samples,
           const TransformerWeights& weights, std::optional<Router> router, const Result& result) {
  auto trainer = Trainer::Create(config, model, &samples, {"toy"}, {TinyTrainLayout()}, weights,
                                 std::move(router));
  EXPECT_TRUE(trainer.ok()) << trainer.status();
  while ((*trainer)->state().step < config.max_steps) EXPECT_TRUE((*trainer)->TrainStep().ok());
  return result(**trainer);
}

TEST(RouterQualityTest, R14_ATrainedRouterBeatsRandomGatesAndStaticPruning) {
  at::set_num_threads(1);  // threads that wait for each other cost more than such tensors
  const ModelConfig model = ModelOf(4);
  const std::vector<Sample> samples = ToySamples(400, 11);
  TrainConfig base = TinyTrainConfig();
  base.fused = true;
  base.optimizer.peak_lr = 6e-3;
  base.max_steps = 400;
  const TransformerWeights weights =
      Train(base, model, samples, InitWeights(model, base.seed), std::nullopt,
            [](const Trainer& trainer) { return trainer.weights(); });
  for (const auto& [name, tensor] : ListParameters(weights)) tensor.requires_grad_(false);
  const RotaryTable rotary(model, model.max_positions, torch::kFloat32, torch::kCPU);
  const std::vector<MicroBatch> held_out = {HeldOutBatch()};
  const auto measure = [&](const MakeGatesFn& gates) {
    return MeasureHeldOut(model, weights, rotary, held_out, {}, gates);
  };
  const auto deterministic = [&](const RouterTensors& tensors) {
    return measure([&](const MicroBatch& batch) {
      return RowGates::Deterministic(tensors, model, batch.form.groups);
    });
  };

  double routed = 0, random = 0;
  for (const uint64_t seed : {1, 2, 3}) {
    TrainConfig config = base;
    config.stage = "router";
    config.seed = seed;
    config.max_steps = 150;
    config.optimizer.peak_lr = 2e-2;
    config.optimizer.weight_decay = 0;
    const Router router =
        Train(config, model, samples, weights, InitRouter(config.router, model, seed),
              [](const Trainer& trainer) { return trainer.TrainedRouter(); });
    RouterTensors tensors = MakeRouterTensors(router, torch::kCPU);
    const auto found =
        CalibrateThresholds(model, weights, rotary, held_out, {}, kRates, &tensors, {});
    ASSERT_TRUE(found.ok()) << found.status();
    const HeldOutResult result = deterministic(tensors);
    EXPECT_NEAR(result.rates[0], kRates[0], 0.01);
    EXPECT_NEAR(result.rates[1], kRates[1], 0.01);
    routed += result.loss / 3;
    torch::manual_seed(static_cast<int64_t>(seed));
    random += measure([&](const MicroBatch& batch) {
                return RowGates::Random(tensors, model, batch.form.groups, result.rates);
              }).loss /
              3;
  }
  const auto dropped = ChoosePrunedModules(PruneMethod::kStatic,
                                           MeasureImportance(model, weights, rotary, held_out, {}),
                                           model, kRates[0], ExemptLayers({}, model));
  ASSERT_TRUE(dropped.ok()) << dropped.status();
  const double pruned =
      deterministic(MakeRouterTensors(ConstantRouter(model, *dropped), torch::kCPU)).loss;

  // Three of four layers, trained for as many layer steps as the four.
  TrainConfig small = base;
  small.max_steps = base.max_steps * 4 / 3;
  const TransformerWeights small_weights =
      Train(small, ModelOf(3), samples, InitWeights(ModelOf(3), base.seed), std::nullopt,
            [](const Trainer& trainer) { return trainer.weights(); });
  const double dense_small =
      MeasureHeldOut(ModelOf(3), small_weights, rotary, held_out, {}, {}).loss;

  RecordProperty("dense", absl::StrCat(measure({}).loss));
  RecordProperty("routed", absl::StrCat(routed));
  RecordProperty("random", absl::StrCat(random));
  RecordProperty("static", absl::StrCat(pruned));
  RecordProperty("dense-small", absl::StrCat(dense_small));
  EXPECT_LE(routed, random - 0.1);
  EXPECT_LE(routed, pruned);
}

}  // namespace
}  // namespace dragoman::model
