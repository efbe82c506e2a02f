// Where tensors live. Thread-safe.
#pragma once

#include <string>

#include "base/status.h"
#include "torch/types.h"
#include "torch/version.h"

namespace dragoman::model {

// "cpu", "cuda" or "cuda:N". Errors: InvalidArgument (another name), Unimplemented (this libtorch
// has no CUDA or finds no GPU).
absl::StatusOr<torch::Device> ParseDevice(const std::string& name);

// 1 where libtorch is at least 2.4, the first with everything that device_ops.cc makes use of.
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 4)
#define DRAGOMAN_TORCH_HAS_FUSED 1
#else
#define DRAGOMAN_TORCH_HAS_FUSED 0
#endif

}  // namespace dragoman::model
