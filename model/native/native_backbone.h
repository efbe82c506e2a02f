// The CPU backbone made of our own kernels: no libtorch, starts in milliseconds. A row gets the
// same bits in any batch and for any number of threads, so streamed and offline decoding agree
// exactly.
//
// One thread only (the engine thread); a team of threads works below it inside Forward().
#pragma once

#include <memory>

#include "base/status.h"
#include "model/api/backbone.h"
#include "model/api/backend_options.h"
#include "model/native/native_weights.h"
#include "model/package/model_package.h"

namespace dragoman::model {

// Matrices as BackendOptions::weights says, else as the package has them (ComputeType::kBfloat16:
// rounded to bf16); everything between is fp32. Memory: the weights once, packed, the embedding
// table in fp32, and the KV pool (max_pages of 16 rows, fp32). Errors: InvalidArgument (threads,
// pages, a device other than "cpu"), Unimplemented (float64), those of LoadNativeWeights().
absl::StatusOr<std::unique_ptr<Backbone>> CreateNativeBackbone(const ModelPackage& package,
                                                               const BackendOptions& options);
// The same from weights that are already there, such as RandomNativeWeights().
absl::StatusOr<std::unique_ptr<Backbone>> MakeNativeBackbone(const ModelConfig& config,
                                                             NativeWeights weights,
                                                             const BackendOptions& options);

}  // namespace dragoman::model
