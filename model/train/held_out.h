// What gates cost and save on held-out pairs. Thread-compatible.
#pragma once

#include <array>
#include <functional>
#include <vector>

#include "model/routing/static_pruning.h"
#include "model/torch/training_form.h"
#include "model/train/packer.h"
#include "model/train/router_stage.h"

namespace dragoman::model {

// Makes the gates of a micro-batch; may be empty for a dense run.
using MakeGatesFn = std::function<RowGates(const MicroBatch& batch)>;

struct HeldOutResult {
  double loss = 0;                // nat per label, without smoothing
  std::array<double, 2> rates{};  // parameter-weighted skip rates of source and target rows
  // Per group the share of rows that skipped a module, [layers, 2]; empty for a dense run.
  std::array<std::vector<double>, 2> skipped;
};

HeldOutResult MeasureHeldOut(const ModelConfig& model, const TransformerWeights& weights,
                             const RotaryTable& rotary, const std::vector<MicroBatch>& batches,
                             const ForwardOptions& forward, const MakeGatesFn& make_gates);

// Importance of the modules of the dense model, over the source and target rows that are not
// forced.
ModuleImportance MeasureImportance(const ModelConfig& model, const TransformerWeights& weights,
                                   const RotaryTable& rotary,
                                   const std::vector<MicroBatch>& batches,
                                   const ForwardOptions& forward);

}  // namespace dragoman::model
