// Where a router comes from and how it gets into a package: the file side of the router stages.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "model/api/gate_rule.h"
#include "model/api/stream_layout.h"
#include "model/corpus/sample.h"
#include "model/train/train_config.h"

namespace dragoman::model {

// The router that a stage starts from: none for sft, a fresh one for router, that of the package
// init_from for lora and calibrate. Errors: InvalidArgument (exempt_layers), those of
// ReadRouterFile().
absl::StatusOr<std::optional<Router>> StartingRouter(const TrainConfig& config,
                                                     const ModelConfig& model,
                                                     const std::string& base_digest);

// Calibrates `router` for the weights of a package on held-out samples, whole schedules mixed as in
// training, and puts it into the package. `layouts` by Sample::language. Errors: InvalidArgument
// (too few samples), those of CalibrateThresholds() and of files.
absl::Status AddCalibratedRouter(const TrainConfig& config,
                                 const std::vector<StreamLayout>& layouts,
                                 const std::vector<Sample>& held_out, Router router,
                                 const std::string& package_folder,
                                 const std::function<void(const std::string&)>& progress);

}  // namespace dragoman::model
