// Opens a package with tokenizer and engine for commands that translate.
#pragma once

#include <memory>
#include <string>

#include "base/clock.h"
#include "base/status.h"
#include "model/api/backend_options.h"
#include "model/engine/engine.h"
#include "model/evaluate/gate_recorder.h"
#include "model/package/model_package.h"
#include "model/tokenizer/tokenizer.h"

namespace dragoman::model {

struct OpenedModel {
  std::unique_ptr<ModelPackage> package;
  std::unique_ptr<Tokenizer> tokenizer;
  std::shared_ptr<const GateRule> gates;   // null: dense
  std::unique_ptr<GateRecorder> recorder;  // null unless asked for
  std::unique_ptr<Engine> engine;
};

struct OpenModelOptions {
  std::string folder;
  std::string backend = "auto";  // "native", "torch"; "auto": native on cpu, else torch
  std::string device = "cpu";
  std::string compute = "float32";  // or "bfloat16"
  std::string weights;  // "fp32", "bf16", "int8", "int4"; empty: as the package has them
  int threads = 0;
  size_t slots = 32;
  // Skip dial, 0 to 1: 0 dense, else the package's router, or random gates of `random_skip`.
  double theta = 0;
  double random_skip = 0;  // rate of random gates instead of a router
  std::string router;      // router file; empty: that of the package
  bool record_gates = false;
};

// Errors: InvalidArgument (backend), those of the backend.
absl::StatusOr<std::unique_ptr<Backbone>> MakeBackbone(const std::string& backend,
                                                       const ModelPackage& package,
                                                       const BackendOptions& options);

// The gate rule of a router file; an empty path: that of the package. Errors: those of
// ReadRouterFile(), NotFound with the remedy where the package has none.
absl::StatusOr<std::shared_ptr<const GateRule>> LoadRouter(const ModelPackage& package,
                                                           const std::string& path = "");
// Random gates of one rate; layer 0 of models with at most 12 layers never skips.
std::shared_ptr<const GateRule> RandomRule(double rate, int64_t num_layers);

// `clock` must outlive the result. Errors: those of loading; InvalidArgument (compute).
absl::StatusOr<OpenedModel> OpenModel(const OpenModelOptions& options, Clock* clock);

}  // namespace dragoman::model
