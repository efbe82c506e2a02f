// The forward pass of a LLaMA-family transformer over packed rows. Serving and training share it:
// they differ only in how rows attend, which is a callback. Differentiable when the weights
// require gradients. Thread-compatible.
#pragma once

#include <cstdint>
#include <functional>

#include "model/api/model_config.h"
#include "model/torch/weights.h"
#include "torch/types.h"

namespace dragoman::model {

// q [rows, heads, head_dim], k and v [rows, kv_heads, head_dim] of one layer, rotated; returns
// [rows, heads * head_dim].
using AttendFn = std::function<torch::Tensor(int64_t layer, const torch::Tensor& q,
                                             const torch::Tensor& k, const torch::Tensor& v)>;

struct ForwardOptions {
  bool bfloat16_products = false;   // matrix products in bf16, everything else in the weights' type
  double dropout = 0;               // on both residual branches and the embeddings
  double adapter_dropout = 0;       // on the input of adapters
};

// cos and sin of rotary positions, made in fp64 and kept in fp32 (fp64 for fp64 weights).
class RotaryTable {
 public:
  RotaryTable() = default;
  RotaryTable(const ModelConfig& config, int64_t num_positions, torch::Dtype dtype,
              const torch::Device& device);
  // [rows, 1, head_dim / 2] each, for int64 positions [rows] on the table's device.
  std::pair<torch::Tensor, torch::Tensor> Rows(const torch::Tensor& positions) const;
  int64_t num_positions() const { return cos_.defined() ? cos_.size(0) : 0; }

 private:
  torch::Tensor cos_, sin_;   // [positions, head_dim / 2]
};

// Rotary embedding in the half-split layout of Hugging Face; x [rows, heads, head_dim].
torch::Tensor ApplyRotary(const torch::Tensor& x, const torch::Tensor& cos,
                          const torch::Tensor& sin);

// RMSNorm over the last dimension; the sum runs in fp32 or wider.
torch::Tensor RmsNorm(const torch::Tensor& x, const torch::Tensor& weight, double eps);

// y = x W^T + b plus adapters.
torch::Tensor ApplyLinear(const Linear& linear, const torch::Tensor& x,
                          const ForwardOptions& options);

// Final hidden states [rows, hidden] after the last norm. tokens [rows] int64; cos and sin from
// RotaryTable::Rows().
torch::Tensor RunTransformer(const ModelConfig& config, const TransformerWeights& weights,
                             const torch::Tensor& tokens,
                             const std::pair<torch::Tensor, torch::Tensor>& rotary,
                             const AttendFn& attend, const ForwardOptions& options);

// Logits [rows, vocab] of final hidden states.
torch::Tensor ProjectToVocabulary(const TransformerWeights& weights, const torch::Tensor& hidden,
                                  const ForwardOptions& options);

}  // namespace dragoman::model
