// A model without the modules that its router never runs (skip_routing.md section 8): smaller, and
// faster at every batch size. A new model, with weights and a digest of its own. Pure functions
// over their arguments; thread-safe.
#pragma once

#include <optional>
#include <vector>

#include "model/api/gate_rule.h"
#include "model/api/model_config.h"
#include "model/torch/weights.h"

namespace dragoman::model {

// Modules with at least this skip rate, in both groups, may be dropped.
constexpr double kStaticSkipRate = 0.995;

struct StaticModel {
  ModelConfig config;
  TransformerWeights weights;    // shares the tensors of the model that it comes from
  std::optional<Router> router;  // none when it has nothing left to decide
};

// Drops modules for all rows. `dropped`: gate bytes [layers] of what goes; a layer that loses both
// modules is removed. Scores of dropped modules in the router become certain ones: they count as
// run. Must not drop every layer.
StaticModel DropModules(const ModelConfig& config, const TransformerWeights& weights,
                        const Router& router, const std::vector<uint8_t>& dropped);

}  // namespace dragoman::model
