// The border where libtorch's exceptions become Status. Every public function of this room that
// calls torch runs inside.
#pragma once

#include <functional>
#include <string>

#include "base/status.h"
#include "model/api/backend_options.h"
#include "torch/types.h"

namespace dragoman::model {

// Runs `body`; an exception becomes Internal (out of memory: ResourceExhausted) with `where` and
// the first line of its text.
absl::Status GuardTorch(const std::string& where, const std::function<absl::Status()>& body);

template <typename T>
absl::StatusOr<T> GuardTorchOr(const std::string& where,
                               const std::function<absl::StatusOr<T>()>& body) {
  absl::StatusOr<T> result = absl::InternalError("unset");
  const absl::Status status = GuardTorch(where, [&]() -> absl::Status {
    result = body();
    return result.status();
  });
  if (!status.ok()) return status;
  return result;
}

torch::Dtype TorchDtype(ComputeType compute);

}  // namespace dragoman::model
