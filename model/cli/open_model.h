// Opens a package with tokenizer and engine for commands that translate.
#pragma once

#include <memory>
#include <string>

#include "base/clock.h"
#include "base/status.h"
#include "model/api/backend_options.h"
#include "model/engine/engine.h"
#include "model/package/model_package.h"
#include "model/tokenizer/tokenizer.h"

namespace dragoman::model {

struct OpenedModel {
  std::unique_ptr<ModelPackage> package;
  std::unique_ptr<Tokenizer> tokenizer;
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
};

// Errors: InvalidArgument (backend), those of the backend.
absl::StatusOr<std::unique_ptr<Backbone>> MakeBackbone(const std::string& backend,
                                                       const ModelPackage& package,
                                                       const BackendOptions& options);

// `clock` must outlive the result. Errors: those of loading; InvalidArgument (compute).
absl::StatusOr<OpenedModel> OpenModel(const OpenModelOptions& options, Clock* clock);

}  // namespace dragoman::model
