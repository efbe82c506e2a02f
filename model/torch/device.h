// Where tensors live. Thread-safe.
#pragma once

#include <string>

#include "base/status.h"
#include "torch/types.h"

namespace dragoman::model {

// "cpu", "cuda" or "cuda:N". Errors: InvalidArgument (another name), Unimplemented (this libtorch
// has no CUDA or finds no GPU).
absl::StatusOr<torch::Device> ParseDevice(const std::string& name);

}  // namespace dragoman::model
