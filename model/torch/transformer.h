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

// Attention of one layer: qkv [rows, heads + 2 kv_heads, head_dim], after q/k norms and before
// rotation; returns [rows, heads * head_dim].
using AttendFn = std::function<torch::Tensor(int64_t layer, const torch::Tensor& qkv)>;

// Gates of one layer from its input x [rows, hidden]: [rows, 2] in fp32, 1 where a row executes
// attention and MLP, 0 where it skips them. When they require gradients the branches are
// multiplied by them, else a skipped row keeps its bits.
using GateFn = std::function<torch::Tensor(int64_t layer, const torch::Tensor& x)>;

// Sees the residual stream [rows, hidden] before and after a module (0: attention, 1: MLP).
using ModuleObserver = std::function<void(int64_t layer, int64_t module,
                                          const torch::Tensor& before, const torch::Tensor& after)>;

struct ForwardOptions {
  bool bfloat16_products = false;  // matrix products in bf16, everything else in the weights' type
  // What lies between two products of a branch is bf16 too; the residual stream stays fp32. Needs
  // bfloat16_products and fp32 weights; `fused` keeps it so always.
  bool bfloat16_activations = false;
  bool fused = false;          // fused_ops.h: fp32 on the CPU only
  double dropout = 0;          // on both residual branches and the embeddings
  double adapter_dropout = 0;  // on the input of adapters
  GateFn gates;                // empty: every row executes everything
  bool gather_rows = false;    // compute the rows of a branch that execute it, and no others
  ModuleObserver observe;      // may be empty
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
  torch::Tensor cos_, sin_;  // [positions, head_dim / 2]
};

// Rotary embedding in the half-split layout of Hugging Face; x [rows, heads, head_dim].
torch::Tensor ApplyRotary(const torch::Tensor& x, const torch::Tensor& cos,
                          const torch::Tensor& sin);

// RMSNorm over the last dimension; the sum runs in fp32 or wider.
torch::Tensor RmsNorm(const torch::Tensor& x, const torch::Tensor& weight, double eps);

// y = x W^T + b plus adapters.
torch::Tensor ApplyLinear(const Linear& linear, const torch::Tensor& x,
                          const ForwardOptions& options);

// Final hidden states [rows, hidden] after the last norm. tokens [rows] int64.
torch::Tensor RunTransformer(const ModelConfig& config, const TransformerWeights& weights,
                             const torch::Tensor& tokens, const AttendFn& attend,
                             const ForwardOptions& options);

// Logits [rows, vocab] of final hidden states.
torch::Tensor ProjectToVocabulary(const TransformerWeights& weights, const torch::Tensor& hidden,
                                  const ForwardOptions& options);

}  // namespace dragoman::model
