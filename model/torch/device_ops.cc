#include "model/torch/device_ops.h"

#include <cmath>
#include <limits>

#include "torch/torch.h"

// torch::rms_norm came with 2.4, scaled dot-product attention with a scale before it.
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 4)
#define DRAGOMAN_TORCH_HAS_FUSED 1
#else
#define DRAGOMAN_TORCH_HAS_FUSED 0
#endif

namespace dragoman::model {

torch::Tensor DeviceRmsNorm(const torch::Tensor& x, const torch::Tensor& weight, double eps,
                            torch::Dtype kept) {
#if DRAGOMAN_TORCH_HAS_FUSED
  return torch::rms_norm(x, {x.size(-1)}, weight, eps).to(kept);
#else
  return (x * torch::rsqrt(x.square().mean(-1, /*keepdim=*/true) + eps) * weight).to(kept);
#endif
}

torch::Tensor DeviceAttention(const torch::Tensor& q, const torch::Tensor& k,
                              const torch::Tensor& v, const torch::Tensor& visible) {
  const double scale = 1.0 / std::sqrt(static_cast<double>(q.size(-1)));
#if DRAGOMAN_TORCH_HAS_FUSED
  return at::scaled_dot_product_attention(q, k, v, visible, /*dropout_p=*/0.0,
                                          /*is_causal=*/false, scale);
#else
  const torch::Tensor scores =
      (torch::matmul(q, k.transpose(-2, -1)).to(torch::kFloat32) * scale)
          .masked_fill(visible.logical_not(), -std::numeric_limits<double>::infinity());
  return torch::matmul(torch::softmax(scores, -1).to(v.scalar_type()), v);
#endif
}

}  // namespace dragoman::model
