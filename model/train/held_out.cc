#include "model/train/held_out.h"

#include <algorithm>
#include <optional>

#include "model/train/sft_stage.h"
#include "torch/torch.h"

namespace dragoman::model {

HeldOutResult MeasureHeldOut(const ModelConfig& model, const TransformerWeights& weights,
                             const RotaryTable& rotary, const std::vector<MicroBatch>& batches,
                             const ForwardOptions& forward, const MakeGatesFn& make_gates) {
  torch::NoGradGuard no_grad;
  HeldOutResult result;
  double labels = 0;
  std::array<double, 2> rows{};
  for (const MicroBatch& batch : batches) {
    std::optional<RowGates> gates;
    SftOptions options;
    options.forward = forward;
    if (make_gates) {
      gates.emplace(make_gates(batch));
      options.forward.gates = gates->function();
    }
    result.loss += SftLossSum(model, weights, rotary, batch, options).item<double>();
    labels += static_cast<double>(batch.labels.size(0));
    for (size_t g = 0; gates.has_value() && g < 2; ++g) {
      const auto count = static_cast<double>(gates->rows(g));
      result.rates[g] += gates->Rate(g).item<double>() * count;
      rows[g] += count;
      const torch::Tensor shares =
          gates->SkipShares(g).to(torch::kCPU, torch::kFloat64).flatten().contiguous();
      result.skipped[g].resize(static_cast<size_t>(shares.numel()));
      for (int64_t i = 0; i < shares.numel(); ++i) {
        result.skipped[g][static_cast<size_t>(i)] += count * shares.data_ptr<double>()[i];
      }
    }
  }
  if (labels > 0) result.loss /= labels;
  for (size_t g = 0; g < 2; ++g) {
    if (rows[g] > 0) result.rates[g] /= rows[g];
    for (double& share : result.skipped[g]) share /= std::max(rows[g], 1.0);
  }
  return result;
}

ModuleImportance MeasureImportance(const ModelConfig& model, const TransformerWeights& weights,
                                   const RotaryTable& rotary,
                                   const std::vector<MicroBatch>& batches,
                                   const ForwardOptions& forward) {
  torch::NoGradGuard no_grad;
  const auto layers = static_cast<size_t>(model.num_layers);
  ModuleImportance sums{std::vector<double>(layers), std::vector<double>(2 * layers)};
  double rows = 0;
  for (const MicroBatch& batch : batches) {
    const torch::Tensor counted = batch.form.groups != static_cast<int64_t>(RowGroup::kForced);
    const auto change = [&](const torch::Tensor& before, const torch::Tensor& after) {
      const torch::Tensor cosine = torch::cosine_similarity(before, after, 1);
      return (1.0 - cosine).masked_select(counted).sum().item<double>();
    };
    torch::Tensor layer_input;
    ForwardOptions options = forward;
    options.observe = [&](int64_t layer, int64_t module, const torch::Tensor& before,
                          const torch::Tensor& after) {
      const auto at = static_cast<size_t>(layer);
      sums.modules[2 * at + static_cast<size_t>(module)] += change(before, after);
      if (module == 0) layer_input = before;
      if (module == 1) sums.layers[at] += change(layer_input, after);
    };
    RunTrainingForm(model, weights, rotary, batch.form, options);
    rows += counted.sum().item<double>();
  }
  for (std::vector<double>* values : {&sums.layers, &sums.modules}) {
    for (double& value : *values) value /= std::max(rows, 1.0);
  }
  return sums;
}

}  // namespace dragoman::model
