#include "model/torch/device_ops.h"

#include <cmath>
#include <limits>

#include "model/torch/device.h"
#include "torch/torch.h"

namespace dragoman::model {

torch::Tensor DeviceRmsNorm(const torch::Tensor& x, const torch::Tensor& weight, double eps,
                            torch::Dtype kept) {
#if DRAGOMAN_TORCH_HAS_FUSED
  return torch::rms_norm(x, {x.size(-1)}, weight, eps).to(kept);
#else
  return (x * torch::rsqrt(x.square().mean(-1, /*keepdim=*/true) + eps) * weight).to(kept);
#endif
}

torch::Tensor AttentionBias(const torch::Tensor& visible, torch::Dtype type) {
  constexpr int64_t kAligned = 8;  // elements; other strides are copied at every use
  const int64_t columns = visible.size(-1);
  std::vector<int64_t> shape = visible.sizes().vec();
  shape.back() = (columns + kAligned - 1) / kAligned * kAligned;
  torch::Tensor bias = torch::zeros(shape, visible.options().dtype(type)).narrow(-1, 0, columns);
  bias.masked_fill_(visible.logical_not(), -std::numeric_limits<double>::infinity());
  return bias;
}

torch::Tensor DeviceAttention(const torch::Tensor& q, const torch::Tensor& k,
                              const torch::Tensor& v, const torch::Tensor& bias) {
  const double scale = 1.0 / std::sqrt(static_cast<double>(q.size(-1)));
#if DRAGOMAN_TORCH_HAS_FUSED
  return at::scaled_dot_product_attention(q, k, v, bias, /*dropout_p=*/0.0,
                                          /*is_causal=*/false, scale);
#else
  const torch::Tensor scores =
      torch::matmul(q, k.transpose(-2, -1)).to(torch::kFloat32) * scale + bias;
  return torch::matmul(torch::softmax(scores, -1).to(v.scalar_type()), v);
#endif
}

}  // namespace dragoman::model
