// Training of skip routers (SkipGPT, arXiv 2506.04179; skip_routing.md sections 3 to 5): gates with
// straight-through gradients, one budget per group, calibration of the thresholds. Nothing about
// loops. Thread-compatible.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <vector>

#include "base/status.h"
#include "model/torch/router_tensors.h"
#include "model/train/packer.h"
#include "model/train/train_config.h"

namespace dragoman::model {

// An untrained linear router that executes 95 % of what it sees: weights N(0, (0.1 /
// sqrt(width))^2), biases logit(0.95).
Router InitRouter(const RouterConfig& config, const ModelConfig& model, uint64_t seed);

// [layers]: 1 for layers that never skip: those that the config names, or layer 0 of models with at
// most 12 layers.
std::vector<uint8_t> ExemptLayers(const RouterConfig& config, const ModelConfig& model);

// What changes over the steps 0 .. max_steps - 1 of a run.
struct RouterSchedule {
  double temperature = 1;               // 5 to 1, linear; stage joint: 1
  double noise = 0;                     // 1, and linearly to 0 over the last fifth
  std::array<double, 2> target_rate{};  // rises over the first 0.3 of the steps; joint: all at once
};
RouterSchedule RouterScheduleAt(const TrainConfig& config, int64_t step);

// Gates of the rows of one micro-batch, and their rates afterwards.
class RowGates {
 public:
  // Noisy gates with straight-through gradients: forward 1 or 0, backward the slope of
  // sigmoid((z + noise * n) / temperature), n logistic. The draws come from torch's generator.
  static RowGates Noisy(const RouterTensors& router, const ModelConfig& model,
                        const torch::Tensor& groups, const RouterSchedule& schedule);
  // Those of serving: z against the thresholds.
  static RowGates Deterministic(const RouterTensors& router, const ModelConfig& model,
                                const torch::Tensor& groups);
  // The `mod` baseline (Mixture-of-Depths): of every sample, group and module the rows with the
  // highest scores run, max(1, floor((1 - rate) * rows)) of them, at one rate per group in all
  // layers that are not exempt, so that `rates` of all weights are skipped. A row's gate depends on
  // later rows: for training and offline losses, never for serving. columns: rows of a sample.
  static RowGates TopRows(const RouterTensors& router, const ModelConfig& model,
                          const torch::Tensor& groups, int64_t columns,
                          const std::array<double, 2>& rates);
  // The `random` baseline: modules of layers that are not exempt are skipped at one rate per group,
  // so that `rates` of all weights are. The draws come from torch's generator.
  static RowGates Random(const RouterTensors& router, const ModelConfig& model,
                         const torch::Tensor& groups, const std::array<double, 2>& rates);

  // For ForwardOptions::gates; valid as long as this object.
  GateFn function();
  // Parameter-weighted skip rate of a group over its rows; differentiable if the gates are. Zero
  // without rows. After the forward pass.
  torch::Tensor Rate(size_t group) const;
  // The same with other weights of attention and MLP.
  torch::Tensor Rate(size_t group, const std::array<double, 2>& module_weights) const;
  int64_t rows(size_t group) const;
  // Share of the group's rows that skipped, [layers, 2].
  torch::Tensor SkipShares(size_t group) const;

 private:
  // Gates of one layer from its input.
  using DecideFn = std::function<torch::Tensor(const RowGates&, int64_t, const torch::Tensor&)>;

  RowGates(const RouterTensors& router, const ModelConfig& model, torch::Tensor groups,
           DecideFn decide)
      : router_(router), model_(model), groups_(std::move(groups)), decide_(std::move(decide)) {}

  torch::Tensor NoisyGates(int64_t layer, const torch::Tensor& x,
                           const RouterSchedule& schedule) const;
  torch::Tensor RandomGatesOf(const std::array<double, 2>& rates) const;
  torch::Tensor TopGates(int64_t layer, const torch::Tensor& x, int64_t columns,
                         const std::array<double, 2>& rates) const;
  torch::Tensor Forced() const;  // [rows, 1] bool

  const RouterTensors& router_;
  const ModelConfig& model_;
  const torch::Tensor groups_;
  const DecideFn decide_;
  std::vector<torch::Tensor> gates_;  // per layer [rows, 2]
};

// What attention and MLP of a layer weigh in the budget (skip_routing.md 4.3): their parameters, or
// the bytes that a decode step of one row reads with int8 weights and fp16 keys and values of
// `context` rows.
std::array<double, 2> BudgetWeights(const RouterConfig& config, const ModelConfig& model);

// The last 8 micro-batches' rates, so that the direction of a budget does not jump with a sentence.
class BudgetWindow {
 public:
  BudgetWindow();
  void Add(const std::array<double, 2>& rates, const std::array<int64_t, 2>& rows);
  // Row-weighted mean; 0 without rows.
  double Mean(size_t group) const;
  // Sign of mean - target, 0 within 0.002.
  double Direction(size_t group, double target) const;
  // For checkpoints.
  NamedParameter State() const { return {"router.window", window_}; }

 private:
  torch::Tensor window_;  // fp32 [2 groups, 8, (rate * rows, rows)], newest last
};

struct Calibration {
  std::array<double, 2> rates{};  // measured at the thresholds found
  int forward_passes = 0;
};

// Finds thresholds under which deterministic gates skip `target` of the rows of each group, by
// bisection over whole forward passes: a changed gate changes what later layers see.
// `progress` gets a line per threshold; may be empty. Errors: FailedPrecondition when a rate is out
// of reach by more than 0.02 (a router whose scores hardly differ); Cancelled when `stop`, which
// may be null, turns true.
absl::StatusOr<Calibration> CalibrateThresholds(
    const ModelConfig& model, const TransformerWeights& weights, const RotaryTable& rotary,
    const std::vector<MicroBatch>& batches, const ForwardOptions& forward,
    const std::array<double, 2>& target, RouterTensors* router,
    const std::function<void(const std::string&)>& progress,
    const std::atomic<bool>* stop = nullptr);

}  // namespace dragoman::model
