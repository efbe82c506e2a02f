// Routers of the public SkipGPT code (state dict names, converted to safetensors) as our router.
#pragma once

#include <string>

#include "base/status.h"
#include "model/api/gate_rule.h"
#include "model/api/model_config.h"

namespace dragoman::model {

// Reads model.layers.{l}.router_attention|router_mlp.weight_predictor.{weight,bias}, [2, width] and
// [2] with index 0 = execute, and in the hidden form hidden_layer.{weight,bias} too. Keys may carry
// ".block." and the prefix of an adapter wrapper. The two logits collapse to z = l0 - l1; input is
// raw, thresholds are 0 and the file has to be calibrated before it is served.
// Errors: NotFound; DataLoss (damaged); FailedPrecondition (routers missing, other shapes, adapters
// on skipped rows, of another model).
absl::StatusOr<Router> ImportRouter(const std::string& path, const ModelConfig& config);

}  // namespace dragoman::model
