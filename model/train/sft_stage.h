// Streaming supervised fine-tuning: what is learned, nothing about loops (streaming.md section 5).
#pragma once

#include "model/train/packer.h"

namespace dragoman::model {

struct SftOptions {
  double label_smoothing = 0;
  ForwardOptions forward;
};

// Sum (not mean) of the cross entropy over the labels of a micro-batch; the caller divides by the
// label count of the whole optimizer step, over all micro-batches.
torch::Tensor SftLossSum(const ModelConfig& config, const TransformerWeights& weights,
                         const RotaryTable& rotary, const MicroBatch& batch,
                         const SftOptions& options);

// The same from what the model gives at the labelled rows, [labels, hidden].
torch::Tensor LabelLossSum(const TransformerWeights& weights, const torch::Tensor& labelled,
                           const torch::Tensor& labels, const SftOptions& options);

// Sum over rows of KL(teacher || student) of the two next-token distributions; gradients reach the
// student's side alone. teacher, student: [labels, hidden].
torch::Tensor DistillationSum(const TransformerWeights& weights, const torch::Tensor& teacher,
                              const torch::Tensor& student, const ForwardOptions& options);

}  // namespace dragoman::model
