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

}  // namespace dragoman::model
