// A skip router with random scores for small packages. Same arguments, same bytes.
#pragma once

#include <cstdint>
#include <string>

#include "base/status.h"
#include "model/api/gate_rule.h"
#include "model/api/model_config.h"

namespace dragoman::model {

// Linear, scores of about unit variance around 0, thresholds 0: about half of all modules are
// skipped, many decisions are close. Layer 0 is exempt.
Router MakeTinyRouter(const ModelConfig& config, uint64_t seed = 1);

// The same as the router of the package in `folder`. Errors: those of reading the package and of
// writing the file.
absl::Status AddTinyRouter(const std::string& folder, uint64_t seed = 1);

}  // namespace dragoman::model
