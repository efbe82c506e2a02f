// The rotary part of config.json: rope_scaling, or rope_parameters of newer files. For
// config_json.cc only.
#pragma once

#include <cstdint>

#include "base/json.h"
#include "base/status.h"
#include "model/api/model_config.h"

namespace dragoman::model {

// Fills rope_theta (if stated there) and rope_scaling of `config`, whose sizes are set already.
// `trained_positions` is max_position_embeddings of the file, before any limit.
// Errors: FailedPrecondition, Unimplemented.
absl::Status ReadRope(const Json& json, int64_t trained_positions, ModelConfig* config);

// Adds "rope_scaling" (null without scaling).
void WriteRope(const ModelConfig& config, Json* json);

}  // namespace dragoman::model
