// The fused operations against plain torch: values and gradients.
#include "model/torch/fused_ops.h"

#include "gtest/gtest.h"
#include "model/torch/training_form.h"
#include "model/train/packer.h"
#include "model/train/sft_stage.h"
#include "model/train/train_test_data.h"
#include "torch/torch.h"

namespace dragoman::model {
namespace {

// Largest difference relative to the largest magnitude of the reference.
double RelativeDifference(const torch::Tensor& a, const torch::Tensor& reference) {
  return ((a - reference).abs().max() / (reference.abs().max() + 1e-12)).item<double>();
}

torch::Tensor Leaf(const torch::Tensor& values) {
  return values.detach().clone().requires_grad_(true);
}

TEST(FusedOpsTest, RmsNormEqualsPlainTorch) {
  for (const int64_t rows : {1, 63, 130}) {
    for (const int64_t width : {1, 17, 256}) {
      torch::manual_seed(static_cast<uint64_t>(rows * 1000 + width));
      const torch::Tensor values = torch::randn({rows, width}), weight = torch::randn({width});
      const torch::Tensor upstream = torch::randn({rows, width});
      torch::Tensor x = Leaf(values), w = Leaf(weight), y = Leaf(values), v = Leaf(weight);

      const torch::Tensor fused = FusedRmsNorm(x, w, 1e-6, torch::kFloat32);
      const torch::Tensor plain = RmsNorm(y, v, 1e-6);
      fused.backward(upstream);
      plain.backward(upstream);

      EXPECT_LT(RelativeDifference(fused, plain), 1e-5) << rows << "x" << width;
      // With one column the norm is a sign: its gradient is zero up to rounding.
      if (width > 1) {
        EXPECT_LT(RelativeDifference(x.grad(), y.grad()), 1e-4);
      }
      EXPECT_LT(RelativeDifference(w.grad(), v.grad()), 1e-4);
    }
  }
}

TEST(FusedOpsTest, SwiGluEqualsPlainTorch) {
  torch::manual_seed(3);
  const torch::Tensor values = torch::randn({37, 2 * 45}) * 6, upstream = torch::randn({37, 45});
  torch::Tensor x = Leaf(values), y = Leaf(values);

  const torch::Tensor fused = FusedSwiGlu(x);
  const std::vector<torch::Tensor> halves = y.chunk(2, 1);
  const torch::Tensor plain = torch::silu(halves[0]) * halves[1];
  fused.backward(upstream);
  plain.backward(upstream);

  EXPECT_LT(RelativeDifference(fused, plain), 1e-5);
  EXPECT_LT(RelativeDifference(x.grad(), y.grad()), 1e-5);
}

TEST(FusedOpsTest, HeadLossEqualsPlainTorch) {
  torch::manual_seed(4);
  const torch::Tensor values = torch::randn({19, 21}), weights = torch::randn({103, 21});
  const torch::Tensor labels = torch::randint(0, 103, {19}, torch::kInt64);
  for (const double smoothing : {0.0, 0.1}) {
    torch::Tensor x = Leaf(values), y = Leaf(values), w = Leaf(weights), v = Leaf(weights);

    const torch::Tensor fused = FusedHeadLossSum(x, w, labels, smoothing);
    const torch::Tensor plain =
        torch::nn::functional::cross_entropy(y.mm(v.t()), labels,
                                             torch::nn::functional::CrossEntropyFuncOptions()
                                                 .reduction(torch::kSum)
                                                 .label_smoothing(smoothing));
    (fused * 0.25).backward();
    (plain * 0.25).backward();

    EXPECT_NEAR(fused.item<double>(), plain.item<double>(), 1e-3);
    EXPECT_LT(RelativeDifference(x.grad(), y.grad()), 1e-5);
    EXPECT_LT(RelativeDifference(w.grad(), v.grad()), 1e-5);
  }
}

TEST(FusedOpsTest, DropoutAddMasksTheBranchAndItsGradientAlike) {
  torch::manual_seed(5);
  const torch::Tensor residual = torch::randn({500, 64}), ones = torch::ones({500, 64});
  torch::Tensor x = Leaf(residual), branch = Leaf(ones);

  const torch::Tensor out = FusedDropoutAdd(x, branch, 0.25);
  out.backward(ones);

  const torch::Tensor mask = branch.grad();
  EXPECT_LT(RelativeDifference(out, residual + mask), 1e-6);
  EXPECT_TRUE(torch::equal(x.grad(), ones));
  const torch::Tensor kept = mask > 0;
  EXPECT_LT((mask.masked_select(kept) - 1 / 0.75).abs().max().item<double>(), 1e-6);
  // 32,000 draws: four standard deviations are 0.0097. Rows and columns are not alike either.
  EXPECT_NEAR(kept.to(torch::kFloat64).mean().item<double>(), 0.75, 0.0097);
  EXPECT_LT(kept.to(torch::kFloat64).mean(0).sub(0.75).abs().max().item<double>(), 0.1);
  EXPECT_LT(kept.to(torch::kFloat64).mean(1).sub(0.75).abs().max().item<double>(), 0.3);
  // The next call draws another mask; the same seed draws the same.
  EXPECT_FALSE(torch::equal(FusedDropoutAdd(c10::nullopt, ones, 0.25), mask));
  torch::manual_seed(5);
  torch::randn({500, 64});
  EXPECT_TRUE(torch::equal(FusedDropoutAdd(c10::nullopt, ones, 0.25), mask));
}

TEST(FusedOpsTest, NoDropoutIsThePlainSum) {
  torch::manual_seed(6);
  const torch::Tensor x = torch::randn({7, 9}), branch = torch::randn({7, 9});
  EXPECT_TRUE(torch::equal(FusedDropoutAdd(x, branch, 0), x + branch));
}

TEST(FusedOpsTest, WholeModelLossAndGradientsEqualThePlainPath) {
  const ModelConfig model = TinyTrainModel();
  const std::vector<Sample> samples = ToySamples(9, 21);
  std::vector<const Sample*> pointers;
  for (const Sample& sample : samples) pointers.push_back(&sample);
  const MicroBatch batch = Pack(pointers, {TinyTrainLayout()}, {});
  const RotaryTable rotary(model, model.max_positions, torch::kFloat32, torch::kCPU);
  const auto run = [&](const ForwardOptions& forward, TransformerWeights* weights) {
    *weights = InitWeights(model, 5);
    for (const NamedParameter& parameter : ListParameters(*weights)) {
      parameter.second.set_requires_grad(true);
    }
    SftOptions options;
    options.forward = forward;
    const torch::Tensor loss = SftLossSum(model, *weights, rotary, batch, options);
    loss.backward();
    return loss.item<double>();
  };
  ForwardOptions fused_path, accelerator_path;
  fused_path.fused = true;
  // What the trainer asks for on an accelerator.
  accelerator_path.bfloat16_products = true;
  accelerator_path.bfloat16_activations = true;
  TransformerWeights plain;
  const double plain_loss = run({}, &plain);
  const auto expected = ListParameters(plain);
  for (const auto& [path, tolerance] :
       {std::pair(fused_path, 1e-4), std::pair(accelerator_path, 0.1)}) {
    TransformerWeights weights;

    const double loss = run(path, &weights);

    EXPECT_NEAR(loss, plain_loss, 0.1 * tolerance * plain_loss + 1e-3);
    const auto parameters = ListParameters(weights);
    for (size_t i = 0; i < expected.size(); ++i) {
      EXPECT_LT(RelativeDifference(parameters[i].second.grad(), expected[i].second.grad()),
                tolerance)
          << expected[i].first;
    }
  }
}

TEST(FusedOpsTest, TrainingFormIsTheSameForPaddedAndSingleSamples) {
  const ModelConfig model = TinyTrainModel();
  const TransformerWeights weights = InitWeights(model, 5);
  const RotaryTable rotary(model, model.max_positions, torch::kFloat32, torch::kCPU);
  const std::vector<Sample> samples = ToySamples(6, 3);
  std::vector<const Sample*> pointers;
  for (const Sample& sample : samples) pointers.push_back(&sample);
  torch::NoGradGuard no_grad;
  for (const bool fused : {false, true}) {
    SftOptions options;
    options.forward.fused = fused;
    double single = 0;
    for (const Sample* sample : pointers) {
      single += SftLossSum(model, weights, rotary, Pack({sample}, {TinyTrainLayout()}, {}), options)
                    .item<double>();
    }
    const double together =
        SftLossSum(model, weights, rotary, Pack(pointers, {TinyTrainLayout()}, {}), options)
            .item<double>();
    EXPECT_NEAR(together, single, 1e-4 * single) << fused;
  }
}

}  // namespace
}  // namespace dragoman::model
