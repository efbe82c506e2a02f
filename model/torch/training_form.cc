#include "model/torch/training_form.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/status_macros.h"
#include "model/api/step_batch.h"
#include "model/torch/device_ops.h"
#include "model/torch/fused_ops.h"
#include "model/torch/torch_guard.h"
#include "torch/torch.h"

namespace dragoman::model {
namespace {

// Which keys each row sees: bool [samples, 1, columns, columns].
torch::Tensor VisibleKeys(const TrainingFormBatch& batch) {
  const torch::Tensor column = torch::arange(batch.columns, batch.source_ends.options());
  const torch::Tensor source = batch.source_ends.view({batch.samples, 1, batch.columns, 1});
  const torch::Tensor target = batch.target_ends.view({batch.samples, 1, batch.columns, 1});
  return (column < source) |
         ((column >= batch.source_columns) & (column < target + batch.source_columns));
}

// The reference: fp32 softmax, products of the type of q or of bf16.
torch::Tensor AttendPlainly(const ModelConfig& config, const TrainingFormBatch& batch,
                            const torch::Tensor& visible, const torch::Tensor& q,
                            const torch::Tensor& k, const torch::Tensor& v, bool bfloat16) {
  const int64_t kv_heads = config.num_kv_heads, group = config.num_heads / kv_heads;
  const int64_t samples = batch.samples, columns = batch.columns, head_dim = config.head_dim;
  const torch::Dtype kept = q.scalar_type();
  const torch::Dtype product = bfloat16 ? torch::kBFloat16 : kept;
  const double scale = 1.0 / std::sqrt(static_cast<double>(head_dim));
  // [samples, kv_heads, group * columns, head_dim]: query heads of a group share their keys.
  const torch::Tensor queries = (q * scale)
                                    .to(product)
                                    .reshape({samples, columns, kv_heads, group, head_dim})
                                    .permute({0, 2, 3, 1, 4})
                                    .reshape({samples * kv_heads, group * columns, head_dim});
  const auto per_head = [&](const torch::Tensor& x) {
    return x.to(product)
        .reshape({samples, columns, kv_heads, head_dim})
        .permute({0, 2, 1, 3})
        .reshape({samples * kv_heads, columns, head_dim});
  };
  const torch::Tensor scores = torch::bmm(queries, per_head(k).transpose(1, 2))
                                   .to(kept)
                                   .view({samples, kv_heads, group, columns, columns})
                                   .masked_fill(visible.logical_not().unsqueeze(1),
                                                -std::numeric_limits<double>::infinity());
  const torch::Tensor weights =
      torch::softmax(scores, -1).to(product).view({samples * kv_heads, group * columns, columns});
  return torch::bmm(weights, per_head(v))
      .to(kept)
      .view({samples, kv_heads, group, columns, head_dim})
      .permute({0, 3, 1, 2, 4})
      .reshape({samples * columns, config.num_heads * head_dim});
}

// The same for bf16 q, k, v in as few passes as the device has.
torch::Tensor AttendOnDevice(const ModelConfig& config, const TrainingFormBatch& batch,
                             const torch::Tensor& bias, const torch::Tensor& q,
                             const torch::Tensor& k, const torch::Tensor& v) {
  const int64_t heads = config.num_heads, kv_heads = config.num_kv_heads;
  const auto per_head = [&](const torch::Tensor& x, int64_t copies) {
    return x.reshape({batch.samples, batch.columns, -1, 1, config.head_dim})
        .expand({batch.samples, batch.columns, heads / copies, copies, config.head_dim})
        .reshape({batch.samples, batch.columns, heads, config.head_dim})
        .transpose(1, 2);
  };
  return DeviceAttention(per_head(q, 1), per_head(k, heads / kv_heads),
                         per_head(v, heads / kv_heads), bias)
      .transpose(1, 2)
      .reshape({batch.samples * batch.columns, heads * config.head_dim});
}

}  // namespace

TrainingFormBatch TrainingFormBatch::To(const torch::Device& device) const {
  TrainingFormBatch moved = *this;
  for (torch::Tensor* tensor :
       {&moved.tokens, &moved.positions, &moved.source_ends, &moved.target_ends, &moved.groups}) {
    *tensor = tensor->to(device);
  }
  return moved;
}

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
  batch.source_ends = torch::ones({batch.samples * columns}, torch::kInt32);
  batch.target_ends = torch::zeros({batch.samples * columns}, torch::kInt32);
  batch.groups = torch::zeros({batch.samples * columns}, torch::kInt64);
  int64_t* groups = batch.groups.data_ptr<int64_t>();
  int64_t* tokens = batch.tokens.data_ptr<int64_t>();
  int64_t* positions = batch.positions.data_ptr<int64_t>();
  int32_t* source_ends = batch.source_ends.data_ptr<int32_t>();
  int32_t* target_ends = batch.target_ends.data_ptr<int32_t>();
  for (const TrainingFormCase* one : cases) {
    for (size_t a = 0; a < one->source_side.size(); ++a) {
      tokens[a] = one->source_side[a];
      positions[a] = static_cast<int64_t>(a);
      source_ends[a] = static_cast<int32_t>(a) + 1;
      groups[a] = static_cast<int64_t>(GroupOfSourceRow(static_cast<int32_t>(a), one->prompt));
    }
    for (size_t b = 0; b < one->target_side.size(); ++b) {
      const size_t column = static_cast<size_t>(batch.source_columns) + b;
      tokens[column] = one->target_side[b];
      positions[column] = one->phi + static_cast<int64_t>(b);
      source_ends[column] = one->prompt + one->src_vis[b];
      target_ends[column] = static_cast<int32_t>(b) + 1;
      groups[column] = static_cast<int64_t>(GroupOfTargetRow(static_cast<int32_t>(b), one->header));
    }
    groups += columns;
    tokens += columns;
    positions += columns;
    source_ends += columns;
    target_ends += columns;
  }
  return batch;
}

torch::Tensor RunTrainingForm(const ModelConfig& config, const TransformerWeights& weights,
                              const RotaryTable& rotary, const TrainingFormBatch& batch,
                              const ForwardOptions& options) {
  const auto [cos, sin] = rotary.Rows(batch.positions);
  if (options.fused) {
    const FusedAttentionShape shape{batch.samples,    batch.columns,       batch.source_columns,
                                    config.num_heads, config.num_kv_heads, config.head_dim};
    const torch::Tensor flat_cos = cos.squeeze(1).contiguous(),
                        flat_sin = sin.squeeze(1).contiguous();
    return RunTransformer(
        config, weights, batch.tokens,
        [&](int64_t, const torch::Tensor& qkv) {
          return FusedRotaryAttention(qkv.view({qkv.size(0), -1}), flat_cos, flat_sin,
                                      batch.source_ends, batch.target_ends, shape);
        },
        options);
  }
  const torch::Tensor visible = VisibleKeys(batch);
  const int64_t heads = config.num_heads, kv_heads = config.num_kv_heads;
  if (options.bfloat16_activations) {
    const torch::Tensor bias = AttentionBias(visible, torch::kBFloat16);
    // x cos + (halves of x swapped) (-sin, sin): the rotation in fewer passes.
    const torch::Tensor both_cos = torch::cat({cos, cos}, -1),
                        both_sin = torch::cat({-sin, sin}, -1);
    return RunTransformer(
        config, weights, batch.tokens,
        [&](int64_t, const torch::Tensor& qkv) {
          const torch::Tensor rotated = qkv.narrow(1, 0, heads + kv_heads);
          const torch::Tensor qk =
              (rotated * both_cos + rotated.roll(config.head_dim / 2, -1) * both_sin)
                  .to(torch::kBFloat16);
          return AttendOnDevice(config, batch, bias, qk.narrow(1, 0, heads),
                                qk.narrow(1, heads, kv_heads),
                                qkv.narrow(1, heads + kv_heads, kv_heads).to(torch::kBFloat16));
        },
        options);
  }
  return RunTransformer(
      config, weights, batch.tokens,
      [&, cos = cos, sin = sin](int64_t, const torch::Tensor& qkv) {
        const torch::Tensor qk = ApplyRotary(qkv.narrow(1, 0, heads + kv_heads), cos, sin);
        return AttendPlainly(config, batch, visible, qk.narrow(1, 0, heads),
                             qk.narrow(1, heads, kv_heads),
                             qkv.narrow(1, heads + kv_heads, kv_heads), options.bfloat16_products);
      },
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
