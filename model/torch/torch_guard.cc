#include "model/torch/torch_guard.h"

#include <new>

#include "c10/util/Exception.h"

namespace dragoman::model {

absl::Status GuardTorch(const std::string& where, const std::function<absl::Status()>& body) {
  try {
    return body();
  } catch (const c10::Error& error) {
    const std::string text = error.what_without_backtrace();
    return absl::InternalError(
        absl::StrCat(where, ": libtorch: ", text.substr(0, text.find('\n'))));
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError(absl::StrCat(where, ": out of memory"));
  } catch (const std::exception& error) {
    return absl::InternalError(absl::StrCat(where, ": ", error.what()));
  }
}

torch::Dtype TorchDtype(ComputeType compute) {
  switch (compute) {
    case ComputeType::kFloat32:
      return torch::kFloat32;
    case ComputeType::kBfloat16:
      return torch::kBFloat16;
    case ComputeType::kFloat64:
      return torch::kFloat64;
  }
  return torch::kFloat32;
}

}  // namespace dragoman::model
