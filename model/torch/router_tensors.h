// A router as torch tensors, and gates made from its scores: for serving through libtorch and for
// training (SkipGPT, arXiv 2506.04179). Thread-compatible.
#pragma once

#include <cstdint>
#include <vector>

#include "model/api/gate_rule.h"
#include "model/torch/weights.h"
#include "torch/types.h"

namespace dragoman::model {

struct RouterTensors {
  torch::Tensor weight;         // [layers, 2, width] or [layers, 2, H]
  torch::Tensor bias;           // [2 groups, layers, 2]
  torch::Tensor hidden_weight;  // [layers, 2, H, width] or undefined
  torch::Tensor hidden_bias;    // [layers, 2, H] or undefined
  torch::Tensor theta;          // [2]
  std::vector<uint8_t> exempt;  // [layers]
  bool normalise = true;
  // One decision for both modules of a layer, that of attention (the `layer-router` baseline).
  bool per_layer = false;
  // Outputs of modules are multiplied with sigmoid(z) (the `mod` baseline); never in serving.
  bool scale_outputs = false;
};

RouterTensors MakeRouterTensors(const Router& router, const torch::Device& device);
// Weight and bias copied back, with per_layer those of attention for both modules; everything else
// of `router` stays.
void CopyRouterTensors(const RouterTensors& tensors, Router* router);

// Trainable parameters of a linear router under stable names.
std::vector<NamedParameter> ListParameters(const RouterTensors& router);

// Scores z of all rows for a layer, bias of their group included, [rows, 2] fp32; differentiable.
// x [rows, width]; groups: int64 [rows], values of RowGroup (forced rows take the source bias).
torch::Tensor RouterScoresOf(const RouterTensors& router, int64_t layer, const torch::Tensor& x,
                             const torch::Tensor& groups, double eps);

// Deterministic gates of a layer, [rows, 2], 1 or 0 in fp32: forced rows and exempt layers execute,
// others unless z <= theta of their group + offset. offsets: fp32 [rows] or undefined.
torch::Tensor ThresholdGates(const RouterTensors& router, int64_t layer, const torch::Tensor& x,
                             const torch::Tensor& groups, const torch::Tensor& offsets, double eps);

}  // namespace dragoman::model
