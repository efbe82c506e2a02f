// Gate decisions of single rows. Pure functions; thread-safe.
#pragma once

#include <cstdint>

#include "base/status.h"
#include "model/api/gate_rule.h"
#include "model/api/model_config.h"

namespace dragoman::model {

// Whether the shapes of a rule fit a backbone. Errors: InvalidArgument.
absl::Status CheckGateRule(const GateRule& rule, const ModelConfig& config);

// Whether all rows execute both modules of a layer.
bool IsExempt(const GateRule& rule, int64_t layer);

// Gate byte of a row from its router scores. Forced rows execute everything, and so does a row with
// a score that is not a number.
uint8_t GatesFromScores(const Router& router, const StepRow& row, int64_t layer, float attention,
                        float mlp);

// Gate byte under a rule that does not look at activations. Must not be called with a Router.
uint8_t GatesWithoutScores(const GateRule& rule, const StepRow& row, int64_t layer);

}  // namespace dragoman::model
