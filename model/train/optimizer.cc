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

double AdamW::ClipGradients() {
  torch::NoGradGuard no_grad;
  std::vector<torch::Tensor> norms;
  for (auto& [name, parameter] : parameters_) {
    if (parameter.grad().defined()) norms.push_back(parameter.grad().norm());
  }
  // One transfer from the device, not one a parameter.
  const double norm = norms.empty() ? 0.0 : torch::stack(norms).norm().item<double>();
  if (config_.clip > 0 && norm > config_.clip) {
    const double scale = config_.clip / (norm + 1e-6);
    for (auto& [name, parameter] : parameters_) {
      if (parameter.grad().defined()) parameter.mutable_grad().mul_(scale);
    }
  }
  return norm;
}

void AdamW::Step(double learning_rate) {
  torch::NoGradGuard no_grad;
  ++steps_;
  const double correction1 = 1.0 - std::pow(config_.beta1, static_cast<double>(steps_));
  const double correction2 = 1.0 - std::pow(config_.beta2, static_cast<double>(steps_));
  for (size_t i = 0; i < parameters_.size(); ++i) {
    torch::Tensor& parameter = parameters_[i].second;
    const torch::Tensor& gradient = parameter.grad();
    if (!gradient.defined()) continue;
    m_[i].mul_(config_.beta1).add_(gradient, 1.0 - config_.beta1);
    v_[i].mul_(config_.beta2).addcmul_(gradient, gradient, 1.0 - config_.beta2);
    if (config_.weight_decay > 0 && parameter.dim() == 2) {
      parameter.mul_(1.0 - learning_rate * config_.weight_decay);
    }
    const torch::Tensor denominator = (v_[i].sqrt() / std::sqrt(correction2)).add_(config_.epsilon);
    parameter.addcdiv_(m_[i], denominator, -learning_rate / correction1);
  }
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
