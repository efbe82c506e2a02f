// Fused differentiable operations for fp32 training on the CPU. They compute what the plain torch
// operations of transformer.cc compute, with fewer passes over memory; tests hold them to those.
// Deterministic for a fixed number of threads. Thread-compatible.
#pragma once

#include <cstdint>

#include "torch/types.h"

namespace dragoman::model {

// RMSNorm of x [rows, width] with weight [width].
torch::Tensor FusedRmsNorm(const torch::Tensor& x, const torch::Tensor& weight, double eps);

// silu(gate) * up of [rows, 2 width] = [gate | up]; gives [rows, width].
torch::Tensor FusedSwiGlu(const torch::Tensor& gate_up);

// Sum of label-smoothed cross entropy over rows; logits [rows, vocab] fp32, labels int64 [rows].
torch::Tensor FusedCrossEntropySum(const torch::Tensor& logits, const torch::Tensor& labels,
                                   double smoothing);

// Rotary embedding and attention over a padded batch of samples. Row r of sample s sees columns
// [0, source_ends[r]) and [source_columns, source_columns + target_ends[r]) of its own sample.
struct FusedAttentionShape {
  int64_t samples = 0, columns = 0, source_columns = 0;
  int64_t heads = 0, kv_heads = 0, head_dim = 0;
};
//   qkv [samples * columns, (heads + 2 kv_heads) * head_dim], not rotated
//   cos, sin [samples * columns, head_dim / 2]
//   source_ends, target_ends: int32 [samples * columns]; at least one key each
// Gives [samples * columns, heads * head_dim].
torch::Tensor FusedRotaryAttention(const torch::Tensor& qkv, const torch::Tensor& cos,
                                   const torch::Tensor& sin, const torch::Tensor& source_ends,
                                   const torch::Tensor& target_ends,
                                   const FusedAttentionShape& shape);

}  // namespace dragoman::model
