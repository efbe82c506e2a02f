#include "model/torch/router_tensors.h"

#include <algorithm>

#include "torch/torch.h"

namespace dragoman::model {
namespace {

torch::Tensor Float32(const std::vector<float>& values, std::vector<int64_t> shape,
                      const torch::Device& device) {
  return torch::tensor(values, torch::kFloat32).view(shape).to(device);
}

void CopyOut(const torch::Tensor& tensor, std::vector<float>* out) {
  const torch::Tensor flat = tensor.detach().to(torch::kCPU, torch::kFloat32).contiguous();
  const float* data = flat.data_ptr<float>();
  out->assign(data, data + flat.numel());
}

// 0 for source and forced rows, 1 for target rows.
torch::Tensor GroupIndices(const torch::Tensor& groups) {
  return (groups == static_cast<int64_t>(RowGroup::kTarget)).to(torch::kInt64);
}

}  // namespace

RouterTensors MakeRouterTensors(const Router& router, const torch::Device& device) {
  const int64_t layers = router.num_layers, hidden = router.hidden_size;
  RouterTensors tensors;
  tensors.weight = Float32(router.weight, {layers, 2, hidden > 0 ? hidden : router.width}, device);
  tensors.bias = Float32(router.bias, {2, layers, 2}, device);
  if (hidden > 0) {
    tensors.hidden_weight =
        Float32(router.hidden_weight, {layers, 2, hidden, router.width}, device);
    tensors.hidden_bias = Float32(router.hidden_bias, {layers, 2, hidden}, device);
  }
  tensors.theta = torch::tensor({router.theta[0], router.theta[1]}, torch::kFloat32).to(device);
  tensors.exempt = router.exempt;
  tensors.normalise = router.input == RouterInput::kRms;
  return tensors;
}

void CopyRouterTensors(const RouterTensors& tensors, Router* router) {
  // The axis of the modules: 1 of the weights, 2 of the biases.
  const auto shared = [&](const torch::Tensor& values, int64_t axis) {
    return tensors.per_layer ? values.narrow(axis, 0, 1).expand_as(values) : values;
  };
  CopyOut(shared(tensors.weight, 1), &router->weight);
  CopyOut(shared(tensors.bias, 2), &router->bias);
}

std::vector<NamedParameter> ListParameters(const RouterTensors& router) {
  return {{"router.weight", router.weight}, {"router.bias", router.bias}};
}

torch::Tensor RouterScoresOf(const RouterTensors& router, int64_t layer, const torch::Tensor& x,
                             const torch::Tensor& groups, double eps) {
  torch::Tensor u = x.to(torch::kFloat32);
  if (router.normalise) u = u * torch::rsqrt(u.square().mean(-1, /*keepdim=*/true) + eps);
  torch::Tensor z;
  if (router.hidden_weight.defined()) {
    const torch::Tensor inner = router.hidden_weight[layer];  // [2, H, width]
    const torch::Tensor hidden =
        torch::relu(torch::matmul(u, inner.flatten(0, 1).t()) + router.hidden_bias[layer].flatten())
            .view({u.size(0), 2, inner.size(1)});
    z = (hidden * router.weight[layer].unsqueeze(0)).sum(-1);
  } else {
    z = torch::matmul(u, router.weight[layer].t());
  }
  z = z + router.bias.select(1, layer).index_select(0, GroupIndices(groups));
  return router.per_layer ? z.narrow(1, 0, 1).expand_as(z) : z;
}

torch::Tensor ThresholdGates(const RouterTensors& router, int64_t layer, const torch::Tensor& x,
                             const torch::Tensor& groups, const torch::Tensor& offsets,
                             double eps) {
  if (router.exempt[static_cast<size_t>(layer)] != 0) {
    return torch::ones({x.size(0), 2}, torch::TensorOptions().device(x.device()));
  }
  const torch::Tensor z = RouterScoresOf(router, layer, x, groups, eps);
  torch::Tensor threshold = router.theta.index_select(0, GroupIndices(groups));
  if (offsets.defined()) threshold = threshold + offsets;
  const torch::Tensor forced = groups == static_cast<int64_t>(RowGroup::kForced);
  return ((z <= threshold.unsqueeze(1)).logical_not() | forced.unsqueeze(1)).to(torch::kFloat32);
}

}  // namespace dragoman::model
