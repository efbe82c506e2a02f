// Router files (docs/formats/router.md): one safetensors file with the scores, thresholds and
// calibration of a skip router, bound to the weights that it was trained for. Every shape, type,
// number and offset is checked; a file that is not exactly right is refused, never half used.
#pragma once

#include <string>

#include "base/status.h"
#include "model/api/gate_rule.h"
#include "model/api/model_config.h"

namespace dragoman::model {

// Name of the router inside a package.
constexpr char kRouterFileName[] = "router.safetensors";

struct RouterFileCheck {
  std::string base_digest;           // of the weights it is to run with
  bool allow_base_mismatch = false;  // for experiments: a router of other weights
};

// Errors: NotFound; DataLoss (damaged, a value that is not finite, tensors or shapes that the
// format does not have); FailedPrecondition (of another model or not calibrated).
absl::StatusOr<Router> ReadRouterFile(const std::string& path, const ModelConfig& config,
                                      const RouterFileCheck& check);

// The file as bytes; the same router gives the same bytes. Errors: InvalidArgument (shapes, values
// that are not finite).
absl::StatusOr<std::string> SerializeRouter(const Router& router);

}  // namespace dragoman::model
