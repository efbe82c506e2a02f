// The libtorch backbone: numerical reference, GPUs, and the CPU backend until a native one is
// there. Keys and values of all streams live in one paged pool per layer; attention gathers the key
// spans of each stream of a step into one padded batch.
//
// One thread only (the engine thread). libtorch's own threads work below it.
#pragma once

#include <memory>

#include "base/status.h"
#include "model/api/backbone.h"
#include "model/api/backend_options.h"
#include "model/package/model_package.h"

namespace dragoman::model {

// Errors: InvalidArgument (device name, threads), Unimplemented (device not built in), Internal
// (libtorch), those of LoadWeights(). Cost: one copy of the weights plus the KV pool.
absl::StatusOr<std::unique_ptr<Backbone>> CreateTorchBackbone(const ModelPackage& package,
                                                              const BackendOptions& options);

}  // namespace dragoman::model
