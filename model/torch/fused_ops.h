// Fused differentiable operations for training on the CPU. They compute what the plain torch
// operations of transformer.cc compute, with fewer passes over memory; tests hold them to those.
// "Activations" are fp32 or bf16 tensors, the residual stream and weights fp32; arithmetic is fp32.
// Deterministic for a fixed number of threads. Thread-compatible.
#pragma once

#include <cstdint>

#include "torch/types.h"

namespace dragoman::model {

// RMSNorm of x [rows, width] fp32 with weight [width], as activations of type `kept`.
torch::Tensor FusedRmsNorm(const torch::Tensor& x, const torch::Tensor& weight, double eps,
                           torch::Dtype kept);

// silu(gate) * up of activations [rows, 2 width] = [gate | up]; gives [rows, width].
torch::Tensor FusedSwiGlu(const torch::Tensor& gate_up);

// x + dropout(branch), or without x only the second term: x fp32, branch activations of the same
// shape; gives fp32. One number from torch's default generator decides the mask.
torch::Tensor FusedDropoutAdd(const c10::optional<torch::Tensor>& x, const torch::Tensor& branch,
                              double rate);

// Sum of label-smoothed cross entropy over rows of logits = hidden head^T; hidden: activations
// [rows, width], head fp32 [vocab, width], labels int64 [rows]. Gives a double.
torch::Tensor FusedHeadLossSum(const torch::Tensor& hidden, const torch::Tensor& head,
                               const torch::Tensor& labels, double smoothing);

// Rotary embedding and attention over a padded batch of samples. Row r of sample s sees columns
// [0, source_ends[r]) and [source_columns, source_columns + target_ends[r]) of its own sample.
struct FusedAttentionShape {
  int64_t samples = 0, columns = 0, source_columns = 0;
  int64_t heads = 0, kv_heads = 0, head_dim = 0;
};
//   qkv: activations [samples * columns, (heads + 2 kv_heads) * head_dim], not rotated
//   cos, sin [samples * columns, head_dim / 2] fp32
//   source_ends, target_ends: int32 [samples * columns]; at least one key each
// Gives activations [samples * columns, heads * head_dim].
torch::Tensor FusedRotaryAttention(const torch::Tensor& qkv, const torch::Tensor& cos,
                                   const torch::Tensor& sin, const torch::Tensor& source_ends,
                                   const torch::Tensor& target_ends,
                                   const FusedAttentionShape& shape);

}  // namespace dragoman::model
