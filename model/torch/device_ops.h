// The two operations of the transformer that libtorch fuses on accelerators, for training there.
// Elsewhere, and with a libtorch older than 2.4, they are sums of plain operations with the same
// result up to rounding. Differentiable. Thread-compatible.
#pragma once

#include "torch/types.h"

namespace dragoman::model {

// RMSNorm of x [rows, width] fp32 with weight [width], as a tensor of type `kept`.
torch::Tensor DeviceRmsNorm(const torch::Tensor& x, const torch::Tensor& weight, double eps,
                            torch::Dtype kept);

// What DeviceAttention() adds to scores: 0 where `visible` (bool, any shape), else -infinity.
torch::Tensor AttentionBias(const torch::Tensor& visible, torch::Dtype type);

// Softmax attention of q, k, v [samples, heads, columns, head_dim] of one type, with as many heads
// each; bias of that type [samples, 1, columns, columns], at least one visible key a row.
torch::Tensor DeviceAttention(const torch::Tensor& q, const torch::Tensor& k,
                              const torch::Tensor& v, const torch::Tensor& bias);

}  // namespace dragoman::model
