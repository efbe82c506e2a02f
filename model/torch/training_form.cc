#include "model/torch/training_form.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/status_macros.h"
#include "model/torch/torch_guard.h"
#include "torch/torch.h"

namespace dragoman::model {
namespace {

torch::Tensor AttendPadded(const ModelConfig& config, const TrainingFormBatch& batch,
                           const torch::Tensor& q, const torch::Tensor& k, const torch::Tensor& v,
                           bool bfloat16) {
  const int64_t kv_heads = config.num_kv_heads, group = config.num_heads / kv_heads;
  const int64_t samples = batch.samples, columns = batch.columns, head_dim = config.head_dim;
  const torch::Dtype kept = q.scalar_type();
  const torch::Dtype product = bfloat16 ? torch::kBFloat16 : kept;
  const double scale = 1.0 / std::sqrt(static_cast<double>(head_dim));
  // [samples, kv_heads, group * columns, head_dim]: query heads of a group share their keys.
  const torch::Tensor queries = (q * scale)
                                    .to(product)
                                    .view({samples, columns, kv_heads, group, head_dim})
                                    .permute({0, 2, 3, 1, 4})
                                    .reshape({samples * kv_heads, group * columns, head_dim});
  const auto per_head = [&](const torch::Tensor& x) {
    return x.to(product)
        .view({samples, columns, kv_heads, head_dim})
        .permute({0, 2, 1, 3})
        .reshape({samples * kv_heads, columns, head_dim});
  };
  const torch::Tensor scores = torch::bmm(queries, per_head(k).transpose(1, 2))
                                   .to(kept)
                                   .view({samples, kv_heads, group, columns, columns})
                                   .masked_fill(batch.hidden_keys,
                                                -std::numeric_limits<double>::infinity());
  const torch::Tensor weights =
      torch::softmax(scores, -1).to(product).view({samples * kv_heads, group * columns, columns});
  return torch::bmm(weights, per_head(v))
      .to(kept)
      .view({samples, kv_heads, group, columns, head_dim})
      .permute({0, 3, 1, 2, 4})
      .reshape({samples * columns, config.num_heads * head_dim});
}

}  // namespace

TrainingFormBatch BuildTrainingForm(const std::vector<const TrainingFormCase*>& cases) {
  TrainingFormBatch batch;
  batch.samples = static_cast<int64_t>(cases.size());
  int64_t target_columns = 0;
  for (const TrainingFormCase* one : cases) {
    batch.source_columns =
        std::max(batch.source_columns, static_cast<int64_t>(one->source_side.size()));
    target_columns = std::max(target_columns, static_cast<int64_t>(one->target_side.size()));
  }
  batch.columns = batch.source_columns + target_columns;
  const int64_t columns = batch.columns;
  batch.tokens = torch::zeros({batch.samples * columns}, torch::kInt64);
  batch.positions = torch::zeros({batch.samples * columns}, torch::kInt64);
  batch.hidden_keys = torch::ones({batch.samples, 1, 1, columns, columns}, torch::kBool);
  int64_t* tokens = batch.tokens.data_ptr<int64_t>();
  int64_t* positions = batch.positions.data_ptr<int64_t>();
  bool* hidden = batch.hidden_keys.data_ptr<bool>();
  for (const TrainingFormCase* one : cases) {
    const auto source_length = static_cast<int64_t>(one->source_side.size());
    const auto target_length = static_cast<int64_t>(one->target_side.size());
    for (int64_t a = 0; a < batch.source_columns; ++a) {
      // A padding row sees itself: no row has an empty key set.
      bool* row = hidden + a * columns;
      if (a < source_length) {
        tokens[a] = one->source_side[a];
        positions[a] = a;
        std::fill(row, row + a + 1, false);
      } else {
        row[a] = false;
      }
    }
    for (int64_t b = 0; b < target_columns; ++b) {
      const int64_t column = batch.source_columns + b;
      bool* row = hidden + column * columns;
      row[column] = false;
      if (b >= target_length) continue;
      tokens[column] = one->target_side[b];
      positions[column] = one->phi + b;
      std::fill(row, row + one->prompt + one->src_vis[b], false);
      std::fill(row + batch.source_columns, row + column + 1, false);
    }
    tokens += columns;
    positions += columns;
    hidden += columns * columns;
  }
  return batch;
}

torch::Tensor RunTrainingForm(const ModelConfig& config, const TransformerWeights& weights,
                              const RotaryTable& rotary, const TrainingFormBatch& batch,
                              const ForwardOptions& options) {
  const AttendFn attend = [&](int64_t, const torch::Tensor& q, const torch::Tensor& k,
                              const torch::Tensor& v) {
    return AttendPadded(config, batch, q, k, v, options.bfloat16_products);
  };
  return RunTransformer(config, weights, batch.tokens, rotary.Rows(batch.positions), attend,
                        options);
}

absl::StatusOr<std::vector<double>> TrainingFormLogits(const ModelPackage& package,
                                                       ComputeType compute,
                                                       const TrainingFormCase& one) {
  return GuardTorchOr<std::vector<double>>(
      "training form", [&]() -> absl::StatusOr<std::vector<double>> {
        torch::NoGradGuard no_grad;
        const torch::Dtype dtype = TorchDtype(compute);
        const torch::Device device(torch::kCPU);
        DRAGOMAN_ASSIGN_OR_RETURN(const TransformerWeights weights,
                                  LoadWeights(package, dtype, device));
        const ModelConfig& config = package.config();
        const TrainingFormBatch batch = BuildTrainingForm({&one});
        const RotaryTable rotary(config, batch.positions.max().item<int64_t>() + 1, dtype, device);
        const torch::Tensor hidden = RunTrainingForm(config, weights, rotary, batch, {});
        const torch::Tensor logits =
            ProjectToVocabulary(weights,
                                hidden.narrow(0, batch.source_columns,
                                              static_cast<int64_t>(one.target_side.size())),
                                {})
                .to(torch::kFloat64)
                .contiguous();
        const double* data = logits.data_ptr<double>();
        return std::vector<double>(data, data + logits.numel());
      });
}

}  // namespace dragoman::model
