// R6, R10 and R11 of skip_routing.md section 12, and the budgets of section 4.
#include "model/train/router_stage.h"

#include <cmath>

#include "gtest/gtest.h"
#include "model/routing/skip_statistics.h"
#include "model/routing/static_pruning.h"
#include "model/train/train_test_data.h"
#include "model/train/trainer.h"
#include "tests/support/tiny_model/test_folder.h"
#include "torch/torch.h"

namespace dragoman::model {
namespace {

TrainConfig RouterTrainConfig() {
  TrainConfig config = TinyTrainConfig();
  config.stage = "router";
  config.max_steps = 50;
  config.router.exempt_layers = std::vector<int64_t>();
  config.optimizer.peak_lr = 4e-3;
  config.optimizer.weight_decay = 0;
  return config;
}

// A trainer of a router over a random model of its own.
class RouterRun {
 public:
  explicit RouterRun(const TrainConfig& config)
      : samples_(ToySamples(40, 3)), weights_(InitWeights(TinyTrainModel(), 5)) {
    absl::StatusOr<std::unique_ptr<Trainer>> trainer =
        Trainer::Create(config, TinyTrainModel(), &samples_, {"toy"}, {TinyTrainLayout()}, weights_,
                        InitRouter(config.router, TinyTrainModel(), config.seed));
    EXPECT_TRUE(trainer.ok()) << trainer.status();
    trainer_ = *std::move(trainer);
  }
  Trainer& operator*() { return *trainer_; }
  Trainer* operator->() { return trainer_.get(); }
  const TransformerWeights& weights() const { return weights_; }

 private:
  std::vector<Sample> samples_;
  TransformerWeights weights_;
  std::unique_ptr<Trainer> trainer_;
};

void Steps(RouterRun* run, int count) {
  for (int i = 0; i < count; ++i) {
    const auto step = (*run)->TrainStep();
    ASSERT_TRUE(step.ok()) << step.status();
  }
}

TEST(RouterStageTest, R6_TheSameSeedGivesTheSameBytesAndAStopChangesNothing) {
  const TrainConfig config = RouterTrainConfig();
  RouterRun straight(config), again(config), stopped(config);
  const TestFolder folder;

  Steps(&straight, 50);
  Steps(&again, 50);
  Steps(&stopped, 25);
  ASSERT_TRUE(stopped->Save(folder / "run").ok());
  RouterRun resumed(config);
  std::vector<std::string> skipped;
  const auto found = resumed->Resume(folder / "run", &skipped);
  ASSERT_TRUE(found.ok() && *found) << found.status();
  Steps(&resumed, 25);

  EXPECT_EQ(straight->TrainedRouter().weight, again->TrainedRouter().weight);
  EXPECT_EQ(straight->TrainedRouter().bias, again->TrainedRouter().bias);
  EXPECT_EQ(straight->TrainedRouter().weight, resumed->TrainedRouter().weight);
  EXPECT_EQ(straight->TrainedRouter().bias, resumed->TrainedRouter().bias);
}

TEST(RouterStageTest, R10_TheModelStaysAsItIsAndTheRouterLearns) {
  const TrainConfig config = RouterTrainConfig();
  RouterRun run(config);
  std::vector<torch::Tensor> before;
  for (const auto& [name, tensor] : ListParameters(run.weights())) before.push_back(tensor.clone());
  const Router router = run->TrainedRouter();

  Steps(&run, 10);

  size_t i = 0;
  for (const auto& [name, tensor] : ListParameters(run->weights())) {
    EXPECT_TRUE(torch::equal(tensor, before[i++])) << name;
  }
  EXPECT_NE(run->TrainedRouter().weight, router.weight);
  EXPECT_EQ(run->trained_parameters(), 2 * 2 * 32 + 2 * 2 * 2);
}

// Gradient of a sum of weighted gates against 3.2: da/dz = s (1 - s) / tau, also where a = 0.
TEST(RouterStageTest, R10_GradientsAreThoseOfTheClosedForm) {
  const ModelConfig model = TinyTrainModel();
  RouterConfig options;
  options.exempt_layers = std::vector<int64_t>();
  Router router = InitRouter(options, model, 1);
  for (float& bias : router.bias) bias = 0.3f;
  RouterTensors tensors = MakeRouterTensors(router, torch::kCPU);
  tensors.weight.requires_grad_(true);
  torch::manual_seed(11);
  const torch::Tensor x = torch::randn({6, model.hidden_size});
  const torch::Tensor groups = torch::tensor({1, 1, 2, 2, 0, 1}, torch::kInt64);
  RouterSchedule schedule{.temperature = 2.5, .noise = 1.0};
  torch::manual_seed(12);
  RowGates gates = RowGates::Noisy(tensors, model, groups, schedule);
  const torch::Tensor a = gates.function()(1, x);
  const torch::Tensor upstream = torch::randn({6, 2});

  (a * upstream).sum().backward();

  torch::manual_seed(12);
  const torch::Tensor z = RouterScoresOf(tensors, 1, x, groups, model.rms_norm_eps).detach();
  const torch::Tensor u = torch::rand_like(z).clamp(1e-6, 1.0 - 1e-6);
  const torch::Tensor s = torch::sigmoid((z + (u / (1.0 - u)).log()) / 2.5);
  const torch::Tensor slope = s * (1 - s) / 2.5 * (groups != 0).unsqueeze(1);
  const torch::Tensor rms = torch::rsqrt(x.square().mean(-1, true) + model.rms_norm_eps);
  const torch::Tensor wanted = torch::matmul((upstream * slope).t(), x * rms);
  const torch::Tensor got = tensors.weight.grad()[1];
  EXPECT_LE((got - wanted).abs().max().item<double>(), 1e-5 * wanted.abs().max().item<double>());
  EXPECT_GT((a == 0).sum().item<int64_t>(), 0) << "no row skipped";
  EXPECT_TRUE(torch::equal(a[4], torch::ones({2}))) << "forced row";
  EXPECT_TRUE(((a == 0) | (a == 1)).all().item<bool>());
}

TEST(RouterStageTest, OneDecisionPerLayerStaysOneThroughTraining) {
  TrainConfig config = RouterTrainConfig();
  config.router.per_layer = true;
  RouterRun run(config);

  Steps(&run, 20);

  const Router router = run->TrainedRouter();
  const Router start = InitRouter(config.router, TinyTrainModel(), config.seed);
  EXPECT_NE(router.weight, start.weight);
  for (int64_t layer = 0; layer < router.num_layers; ++layer) {
    const float* weights = router.weights_of(layer);
    EXPECT_EQ(std::vector<float>(weights, weights + router.width),
              std::vector<float>(weights + router.width, weights + 2 * router.width));
    for (size_t group = 0; group < 2; ++group) {
      EXPECT_EQ(router.bias_of(group, layer, 0), router.bias_of(group, layer, 1));
    }
  }
}

// All weights learn under the gates of a router that stays as it is; samples that are dense count
// in no rate.
TEST(RouterStageTest, AdaptTrainsTheModelUnderItsRouter) {
  TrainConfig config = RouterTrainConfig();
  config.stage = "adapt";
  config.router.dense_share = 0.5;
  config.router.distill = 0.5;
  const std::vector<Sample> samples = ToySamples(40, 3);
  const Router router = ConstantRouter(TinyTrainModel(), {kRunBoth, kRunAttention});
  const TransformerWeights weights = InitWeights(TinyTrainModel(), 5);
  std::vector<torch::Tensor> before;
  for (const auto& [name, tensor] : ListParameters(weights)) before.push_back(tensor.clone());
  auto trainer = Trainer::Create(config, TinyTrainModel(), &samples, {"toy"}, {TinyTrainLayout()},
                                 weights, router);
  ASSERT_TRUE(trainer.ok()) << trainer.status();
  const double mlp_share =
      CountLayerWeights(TinyTrainModel()).mlp / (2 * CountLayerWeights(TinyTrainModel()).all());

  for (int i = 0; i < 3; ++i) {
    const auto step = (*trainer)->TrainStep();
    ASSERT_TRUE(step.ok()) << step.status();
    EXPECT_NEAR(step->skip_rate[0], mlp_share, 1e-6);
    EXPECT_NEAR(step->skip_rate[1], mlp_share, 1e-6);
  }

  EXPECT_EQ((*trainer)->TrainedRouter().bias, router.bias);
  size_t i = 0;
  for (const auto& [name, tensor] : ListParameters((*trainer)->weights())) {
    EXPECT_FALSE(torch::equal(tensor, before[i++])) << name;
  }
}

TEST(RouterStageTest, DistillationIsTheDivergenceOfTheTwoDistributions) {
  const TransformerWeights weights = InitWeights(TinyTrainModel(), 5);
  torch::manual_seed(4);
  const torch::Tensor teacher = torch::randn({7, 32}), student = torch::randn({7, 32});

  const double got = DistillationSum(weights, teacher, student, {}).item<double>();

  torch::NoGradGuard no_grad;
  const torch::Tensor p = torch::softmax(torch::mm(teacher, weights.head.t()), -1),
                      q = torch::softmax(torch::mm(student, weights.head.t()), -1);
  EXPECT_NEAR(got, (p * (p / q).log()).sum().item<double>(), 1e-4);
  EXPECT_NEAR(DistillationSum(weights, teacher, teacher, {}).item<double>(), 0, 1e-5);
}

TEST(RouterStageTest, ScheduleFadesTheNoiseAndRaisesTheBudget) {
  TrainConfig config;
  config.stage = "router";
  config.max_steps = 1000;
  config.router.rho_source = 0.2;
  config.router.rho_target = 0.4;

  const RouterSchedule first = RouterScheduleAt(config, 0);
  const RouterSchedule middle = RouterScheduleAt(config, 500);
  const RouterSchedule late = RouterScheduleAt(config, 900);
  const RouterSchedule last = RouterScheduleAt(config, 999);
  config.stage = "joint";
  const RouterSchedule joint = RouterScheduleAt(config, 0);

  EXPECT_DOUBLE_EQ(first.temperature, 5);
  EXPECT_DOUBLE_EQ(last.temperature, 1);
  EXPECT_DOUBLE_EQ(first.target_rate[0], 0);
  EXPECT_DOUBLE_EQ(middle.target_rate[0], 0.2);
  EXPECT_DOUBLE_EQ(middle.target_rate[1], 0.4);
  EXPECT_DOUBLE_EQ(middle.noise, 1);
  EXPECT_NEAR(late.noise, 0.5, 1e-9);
  EXPECT_NEAR(last.noise, 0.005, 1e-9);
  EXPECT_DOUBLE_EQ(joint.temperature, 1);
  EXPECT_DOUBLE_EQ(joint.target_rate[1], 0.4);
}

TEST(RouterStageTest, BudgetsWeighParametersOrBytes) {
  const ModelConfig model = TinyTrainModel();
  const LayerWeightCounts counts = CountLayerWeights(model);
  RouterConfig config;
  EXPECT_EQ(BudgetWeights(config, model), (std::array<double, 2>{counts.attention(), counts.mlp}));

  config.budget_weights = "bytes";
  config.budget_context = 100;
  const auto cached = static_cast<double>(100 * 2 * 2 * model.num_kv_heads * model.head_dim);
  EXPECT_EQ(BudgetWeights(config, model),
            (std::array<double, 2>{counts.query_output + cached, counts.mlp}));
}

TEST(RouterStageTest, JointTrainsModelAndRouterAndResumes) {
  TrainConfig config = RouterTrainConfig();
  config.stage = "joint";
  config.router.dense_share = 0.25;
  const std::vector<Sample> samples = ToySamples(40, 3);
  const Router router = InitRouter(config.router, TinyTrainModel(), 8);
  const auto make = [&] {
    return *Trainer::Create(config, TinyTrainModel(), &samples, {"toy"}, {TinyTrainLayout()},
                            InitWeights(TinyTrainModel(), 5), router);
  };
  const TransformerWeights before = InitWeights(TinyTrainModel(), 5);
  const std::string folder = absl::StrCat(testing::TempDir(), "/joint_", getpid());

  const std::unique_ptr<Trainer> straight = make(), stopped = make(), resumed = make();
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(straight->TrainStep().ok());
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(stopped->TrainStep().ok());
  ASSERT_TRUE(stopped->Save(folder).ok());
  std::vector<std::string> skipped;
  ASSERT_TRUE(resumed->Resume(folder, &skipped).value());
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(resumed->TrainStep().ok());

  EXPECT_NE(straight->TrainedRouter().weight, router.weight);
  EXPECT_EQ(straight->TrainedRouter().weight, resumed->TrainedRouter().weight);
  const std::vector<NamedParameter> first = ListParameters(before),
                                    all = ListParameters(straight->weights()),
                                    again = ListParameters(resumed->weights());
  for (size_t i = 0; i < all.size(); ++i) {
    EXPECT_FALSE(torch::equal(all[i].second, first[i].second)) << all[i].first;
    EXPECT_TRUE(torch::equal(all[i].second, again[i].second)) << all[i].first;
  }
}

// Mixture-of-Depths: a fixed share of every sample runs, those with the highest scores, and their
// outputs are scaled by them.
TEST(RouterStageTest, TopRowsRunTheHighestScoresOfEverySample) {
  const ModelConfig model = TinyTrainModel();
  const auto source = static_cast<int64_t>(RowGroup::kSource),
             target = static_cast<int64_t>(RowGroup::kTarget),
             forced = static_cast<int64_t>(RowGroup::kForced);
  Router router = InitRouter({}, model, 3);
  std::fill(router.exempt.begin(), router.exempt.end(), 0);
  RouterTensors tensors = MakeRouterTensors(router, torch::kCPU);
  tensors.scale_outputs = true;
  // Two samples of eight rows: forced, five source rows, two target rows.
  const torch::Tensor groups = torch::tensor(
      std::vector<int64_t>{forced, source, source, source, source, source, target, target, forced,
                           source, source, source, source, source, target, target});
  torch::manual_seed(1);
  const torch::Tensor x = torch::randn({16, model.hidden_size});
  const torch::Tensor z = RouterScoresOf(tensors, 1, x, groups, model.rms_norm_eps);

  RowGates gates = RowGates::TopRows(tensors, model, groups, 8, {0.5, 0.9});
  const GateFn function = gates.function();
  function(0, x);
  const torch::Tensor got = function(1, x);

  for (int64_t sample = 0; sample < 2; ++sample) {
    for (int64_t module = 0; module < 2; ++module) {
      const auto at = [&](const torch::Tensor& values, int64_t row) {
        return values[sample * 8 + row][module].item<float>();
      };
      EXPECT_EQ(at(got, 0), 1.0f);
      std::vector<float> sources;
      for (int64_t row = 1; row < 6; ++row) sources.push_back(at(z, row));
      std::sort(sources.rbegin(), sources.rend());
      for (int64_t row = 1; row < 6; ++row) {  // two of five run
        const float score = at(z, row);
        const float expected = score >= sources[1] ? 1 / (1 + std::exp(-score)) : 0.0f;
        EXPECT_NEAR(at(got, row), expected, 1e-6) << row;
      }
      // One of two, though 0.9 are to be skipped.
      EXPECT_EQ((at(got, 6) > 0) + (at(got, 7) > 0), 1);
    }
  }
  EXPECT_NEAR(gates.Rate(0).item<double>(), 0.6, 1e-6);
  EXPECT_NEAR(gates.Rate(1).item<double>(), 0.5, 1e-6);
}

TEST(RouterStageTest, ModTrainsTheRouterAtItsRateFromTheFirstStep) {
  TrainConfig config = RouterTrainConfig();
  config.stage = "mod";
  config.router.rho_source = config.router.rho_target = 0.2;
  const std::vector<Sample> samples = ToySamples(40, 3);
  const Router router = InitRouter(config.router, TinyTrainModel(), 8);
  auto trainer = Trainer::Create(config, TinyTrainModel(), &samples, {"toy"}, {TinyTrainLayout()},
                                 InitWeights(TinyTrainModel(), 5), router);
  ASSERT_TRUE(trainer.ok()) << trainer.status();

  const auto step = (*trainer)->TrainStep();
  ASSERT_TRUE(step.ok()) << step.status();

  EXPECT_GT(step->skip_rate[0], 0.15);
  EXPECT_LT(step->skip_rate[0], 0.35);  // floor() runs fewer rows than asked of short samples
  EXPECT_NE((*trainer)->TrainedRouter().weight, router.weight);
  const std::vector<NamedParameter> before = ListParameters(InitWeights(TinyTrainModel(), 5)),
                                    after = ListParameters((*trainer)->weights());
  for (size_t i = 0; i < after.size(); ++i) {
    EXPECT_TRUE(torch::equal(after[i].second, before[i].second)) << after[i].first;
  }
}

TEST(RouterStageTest, BudgetsLookAtTheLastEightMicroBatches) {
  BudgetWindow window;
  EXPECT_EQ(window.Direction(0, 0.0), 0);
  for (int i = 0; i < 8; ++i) window.Add({0.1, 0.5}, {100, 10});
  window.Add({0.9, 0.5}, {700, 10});

  EXPECT_NEAR(window.Mean(0), (7 * 0.1 * 100 + 0.9 * 700) / 1400, 1e-6);
  EXPECT_EQ(window.Direction(0, 0.4), 1);
  EXPECT_EQ(window.Direction(1, 0.6), -1);
  EXPECT_EQ(window.Direction(1, 0.501), 0);
}

TEST(RouterStageTest, R5_CalibrationMeetsBothBudgets) {
  const ModelConfig model = TinyTrainModel();
  const TransformerWeights weights = InitWeights(model, 5);
  const RotaryTable rotary(model, model.max_positions, torch::kFloat32, torch::kCPU);
  const std::vector<Sample> samples = ToySamples(300, 9);
  std::vector<const Sample*> pointers;
  for (const Sample& sample : samples) pointers.push_back(&sample);
  const std::vector<MicroBatch> batches = {Pack(pointers, {TinyTrainLayout()}, {})};
  RouterConfig options;
  options.exempt_layers = std::vector<int64_t>();
  Router router = InitRouter(options, model, 1);
  for (float& weight : router.weight) weight *= 20;

  for (const std::array<double, 2> target :
       {std::array{0.25, 0.25}, std::array{0.4, 0.1}, std::array{0.1, 0.4}}) {
    RouterTensors tensors = MakeRouterTensors(router, torch::kCPU);
    const auto found =
        CalibrateThresholds(model, weights, rotary, batches, {}, target, &tensors, {});
    ASSERT_TRUE(found.ok()) << found.status();
    EXPECT_NEAR(found->rates[0], target[0], 0.01);
    EXPECT_NEAR(found->rates[1], target[1], 0.01);
  }
}

TEST(RouterStageTest, CalibrationEndsWhenItIsStopped) {
  const ModelConfig model = TinyTrainModel();
  const std::vector<Sample> samples = ToySamples(4, 9);
  std::vector<const Sample*> pointers;
  for (const Sample& sample : samples) pointers.push_back(&sample);
  RouterTensors tensors = MakeRouterTensors(InitRouter({}, model, 1), torch::kCPU);
  const std::atomic<bool> stop = true;

  const auto found = CalibrateThresholds(
      model, InitWeights(model, 5), RotaryTable(model, 64, torch::kFloat32, torch::kCPU),
      {Pack(pointers, {TinyTrainLayout()}, {})}, {}, {0.25, 0.25}, &tensors, {}, &stop);

  EXPECT_TRUE(absl::IsCancelled(found.status())) << found.status();
}

TEST(RouterStageTest, R11_LoraUnderGatesMergesToTheSameFunction) {
  const ModelConfig model = TinyTrainModel();
  TransformerWeights weights = InitWeights(model, 5);
  AddAdapters(model, 4, 8, 1, &weights);
  {
    torch::NoGradGuard no_grad;
    for (auto& [name, tensor] : ListParameters(weights)) {
      if (name.find("lora_b") != std::string::npos) tensor.normal_(0, 0.05);
    }
  }
  RouterConfig options;
  options.exempt_layers = std::vector<int64_t>();
  Router router = InitRouter(options, model, 1);
  for (float& bias : router.bias) bias = 0;
  for (float& weight : router.weight) weight *= 20;
  const RouterTensors tensors = MakeRouterTensors(router, torch::kCPU);
  const RotaryTable rotary(model, model.max_positions, torch::kFloat32, torch::kCPU);
  const std::vector<Sample> samples = ToySamples(20, 9);
  std::vector<const Sample*> pointers;
  for (const Sample& sample : samples) pointers.push_back(&sample);
  const MicroBatch batch = Pack(pointers, {TinyTrainLayout()}, {});
  torch::NoGradGuard no_grad;
  // The gates of the unmerged run, so that a flip does not count as a difference of the merge.
  std::vector<torch::Tensor> recorded;
  const auto run = [&](bool record) {
    RowGates gates = RowGates::Deterministic(tensors, model, batch.form.groups);
    const GateFn decide = gates.function();
    ForwardOptions forward;
    forward.gates = [&](int64_t layer, const torch::Tensor& x) {
      if (record) recorded.push_back(decide(layer, x));
      return recorded[static_cast<size_t>(layer)];
    };
    return ProjectToVocabulary(weights,
                               RunTrainingForm(model, weights, rotary, batch.form, forward), {});
  };
  const torch::Tensor unmerged = run(true);

  MergeAdapters(&weights);
  const torch::Tensor merged = run(false);

  EXPECT_LE((merged - unmerged).abs().max().item<double>(), 1e-4);
  EXPECT_GT((recorded[1] == 0).sum().item<int64_t>(), 0);
}

}  // namespace
}  // namespace dragoman::model
