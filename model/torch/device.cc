#include "model/torch/device.h"

#include "torch/torch.h"

namespace dragoman::model {

absl::StatusOr<torch::Device> ParseDevice(const std::string& name) {
  if (name == "cpu") return torch::Device(torch::kCPU);
  if (name.rfind("cuda", 0) != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("device \"", name, "\" is unknown; use cpu, cuda or cuda:N"));
  }
  if (!torch::cuda::is_available()) {
    return absl::UnimplementedError(
        absl::StrCat("device ", name, ": this libtorch has no CUDA or finds no GPU; use cpu"));
  }
#if DRAGOMAN_TORCH_HAS_FUSED
  // cuDNN's attention is planned anew for every shape of a batch, and no two are alike.
  at::globalContext().setSDPUseCuDNN(false);
#endif
  return torch::Device(name);
}

}  // namespace dragoman::model
