#include "model/train/optimizer.h"

#include <algorithm>
#include <cmath>

#include "torch/torch.h"

namespace dragoman::model {

double LearningRate(const OptimizerConfig& config, int64_t step, int64_t max_steps) {
  const double t = static_cast<double>(step + 1);
  const double warmup = static_cast<double>(std::max<int64_t>(config.warmup_steps, 1));
  const double total = static_cast<double>(max_steps);
  if (t < warmup) return config.peak_lr * t / warmup;
  const double done = std::clamp((t - warmup) / std::max(total - warmup, 1.0), 0.0, 1.0);
  if (config.decay == "linear") return config.peak_lr * (1.0 - done);
  if (config.decay == "cosine") return config.peak_lr * 0.5 * (1.0 + std::cos(M_PI * done));
  double rate = config.peak_lr;
  if (config.decay == "inverse_sqrt") rate *= std::sqrt(warmup / t);
  const double cooldown = config.cooldown_share * total;
  if (cooldown > 0 && t > total - cooldown) rate *= std::max(total - t, 0.0) / cooldown;
  return rate;
}

AdamW::AdamW(std::vector<NamedParameter> parameters, const OptimizerConfig& config)
    : config_(config), parameters_(std::move(parameters)) {
  for (const auto& [name, parameter] : parameters_) {
    m_.push_back(torch::zeros_like(parameter, torch::kFloat32));
    v_.push_back(torch::zeros_like(parameter, torch::kFloat32));
  }
}

void AdamW::ZeroGradients() {
  for (auto& [name, parameter] : parameters_) parameter.mutable_grad() = torch::Tensor();
}

std::vector<torch::Tensor> AdamW::Gradients() const {
  std::vector<torch::Tensor> gradients;
  for (const auto& [name, parameter] : parameters_) {
    if (parameter.grad().defined()) gradients.push_back(parameter.grad());
  }
  return gradients;
}

double AdamW::ClipGradients() {
  torch::NoGradGuard no_grad;
  const std::vector<torch::Tensor> gradients = Gradients();
  if (gradients.empty()) return 0.0;
  const double norm = torch::stack(at::_foreach_norm(gradients)).norm().item<double>();
  if (config_.clip > 0 && norm > config_.clip) {
    at::_foreach_mul_(gradients, config_.clip / (norm + 1e-6));
  }
  return norm;
}

void AdamW::Step(double learning_rate) {
  torch::NoGradGuard no_grad;
  ++steps_;
  const double correction1 = 1.0 - std::pow(config_.beta1, static_cast<double>(steps_));
  const double correction2 = 1.0 - std::pow(config_.beta2, static_cast<double>(steps_));
  // Lists, so that an accelerator gets a few large kernels and not ten a parameter.
  std::vector<torch::Tensor> parameters, matrices, m, v;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const torch::Tensor parameter = parameters_[i].second.detach();
    if (!parameters_[i].second.grad().defined()) continue;
    parameters.push_back(parameter);
    if (parameter.dim() == 2) matrices.push_back(parameter);
    m.push_back(m_[i]);
    v.push_back(v_[i]);
  }
  if (parameters.empty()) return;
  const std::vector<torch::Tensor> gradients = Gradients();
  at::_foreach_mul_(m, config_.beta1);
  at::_foreach_add_(m, gradients, 1.0 - config_.beta1);
  at::_foreach_mul_(v, config_.beta2);
  at::_foreach_addcmul_(v, gradients, gradients, 1.0 - config_.beta2);
  if (config_.weight_decay > 0 && !matrices.empty()) {
    at::_foreach_mul_(matrices, 1.0 - learning_rate * config_.weight_decay);
  }
  const std::vector<torch::Tensor> denominators = at::_foreach_sqrt(v);
  at::_foreach_div_(denominators, std::sqrt(correction2));
  at::_foreach_add_(denominators, config_.epsilon);
  at::_foreach_addcdiv_(parameters, m, denominators, -learning_rate / correction1);
}

std::vector<NamedParameter> AdamW::State() const {
  std::vector<NamedParameter> state;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    state.emplace_back("m." + parameters_[i].first, m_[i]);
    state.emplace_back("v." + parameters_[i].first, v_[i]);
  }
  return state;
}

}  // namespace dragoman::model
