// Writes a model package: config.json, model.safetensors, dragoman.json and copies of further files
// (tokenizer, model card). The folder appears whole or not at all.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/status.h"
#include "model/api/gate_rule.h"
#include "model/api/model_config.h"
#include "model/package/manifest.h"
#include "model/package/model_package.h"
#include "model/package/safetensors.h"

namespace dragoman::model {

struct PackageContents {
  ModelConfig config;
  PackageManifest manifest;          // the writer fills sha256, and layers from config
  std::vector<NamedTensor> tensors;  // exactly ExpectedTensors(config), any order, float types
  DType dtype = DType::kF32;         // element type on disk: F32 or BF16
  std::map<std::string, std::string> copies;  // name in the package -> path to copy from
};

// Writes `folder` through a temporary folder beside it: written, synced, loaded once as a check,
// renamed over an old package. max_positions of manifest and config must agree.
// Errors: InvalidArgument (tensors do not fit the config, a weight is not finite, layout, names),
// NotFound (a file to copy), Unavailable (disk).
absl::Status WritePackage(const std::string& folder, const PackageContents& contents);

// Puts a router into the folder of a package, bound to its weights, in place of one that is there.
// Errors: those of SerializeRouter; Unavailable (disk).
absl::Status PutRouter(const ModelPackage& package, Router router);

}  // namespace dragoman::model
