// Where a router comes from and how it gets into a package: the file side of the router stages.
#pragma once

#include <atomic>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "model/api/gate_rule.h"
#include "model/api/stream_layout.h"
#include "model/corpus/sample.h"
#include "model/package/model_package.h"
#include "model/train/static_export.h"
#include "model/train/train_config.h"

namespace dragoman::model {

// The router that a stage starts from: none for sft and prune, a fresh one for router and mod
// (which keeps the first and the last layer dense), that of the package init_from for the others.
// Errors: InvalidArgument (exempt_layers), those of ReadRouterFile().
absl::StatusOr<std::optional<Router>> StartingRouter(const TrainConfig& config,
                                                     const ModelConfig& model,
                                                     const std::string& base_digest);

// Calibrates `router` for the weights of a package on held-out samples, whole schedules mixed as in
// training, and puts it into the package; stage prune makes the router here. `progress` gets the
// held-out losses too: dense, under the gates, under random gates of their rates. `layouts` by
// Sample::language. Errors: InvalidArgument (too few samples), those of CalibrateThresholds(), of
// ChoosePrunedModules() and of files; Cancelled once `stop`, which may be null, is true.
absl::Status AddCalibratedRouter(const TrainConfig& config,
                                 const std::vector<StreamLayout>& layouts,
                                 const std::vector<Sample>& held_out, Router router,
                                 const std::string& package_folder,
                                 const std::function<void(const std::string&)>& progress,
                                 const std::atomic<bool>* stop);

// Held-out losses of a Mixture-of-Depths router over the model of config.init_from: dense, by the
// rows with the highest scores of every sample, and by thresholds (`mod-causal`), calibrated to the
// same rates.
absl::Status ReportMixtureOfDepths(const TrainConfig& config,
                                   const std::vector<StreamLayout>& layouts,
                                   const std::vector<Sample>& held_out, const Router& router,
                                   const std::function<void(const std::string&)>& progress,
                                   const std::atomic<bool>* stop);

// The model of the package config.init_from without the modules that its router never runs on
// held-out samples. Errors: FailedPrecondition (no such module; the loss rises by more than
// config.router.export_loss), those of files.
absl::StatusOr<StaticModel> MakeStaticModel(
    const TrainConfig& config, const std::vector<StreamLayout>& layouts,
    const std::vector<Sample>& held_out, const Router& router,
    const std::function<void(const std::string&)>& progress);

}  // namespace dragoman::model
