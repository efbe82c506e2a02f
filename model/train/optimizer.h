// AdamW (Loshchilov & Hutter 2019) and gradient clipping over named parameters. Its state can be
// saved and restored bit for bit. Thread-compatible.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/torch/weights.h"
#include "model/train/train_config.h"

namespace dragoman::model {

// Learning rate of optimizer step `step` (0-based) of `max_steps`.
double LearningRate(const OptimizerConfig& config, int64_t step, int64_t max_steps);

class AdamW {
 public:
  AdamW(std::vector<NamedParameter> parameters, const OptimizerConfig& config);

  void ZeroGradients();
  // Global L2 norm of all gradients; scales them when it is above the clip. NaN stays NaN.
  double ClipGradients();
  void Step(double learning_rate);

  // First and second moments as "m.<name>", "v.<name>", and the number of steps done.
  std::vector<NamedParameter> State() const;
  int64_t steps() const { return steps_; }
  void set_steps(int64_t steps) { steps_ = steps; }
  const std::vector<NamedParameter>& parameters() const { return parameters_; }

 private:
  // Of the parameters that have one, in their order.
  std::vector<torch::Tensor> Gradients() const;

  const OptimizerConfig config_;
  std::vector<NamedParameter> parameters_;
  std::vector<torch::Tensor> m_, v_;
  int64_t steps_ = 0;
};

}  // namespace dragoman::model
