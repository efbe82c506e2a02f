#include "model/train/router_stage.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/random.h"
#include "base/status_macros.h"
#include "model/routing/skip_statistics.h"
#include "torch/torch.h"

namespace dragoman::model {
namespace {

constexpr int64_t kWindow = 8;
constexpr double kDeadBand = 0.002;
constexpr double kStartBias = 2.944;  // logit(0.95)
constexpr double kCloseEnough = 0.003;
constexpr double kOutOfReach = 0.02;

int64_t GroupValue(size_t group) {
  return static_cast<int64_t>(group == 0 ? RowGroup::kSource : RowGroup::kTarget);
}

// Two normal draws (Box and Muller 1958).
float Normal(RandomStream* random) {
  const double u = 1.0 - random->NextUnit(), v = random->NextUnit();
  return static_cast<float>(std::sqrt(-2.0 * std::log(u)) * std::cos(2.0 * M_PI * v));
}

// Rates of the layers that are not exempt under which `rates` of all layers are skipped.
std::array<double, 2> RatesInRoutedLayers(const RouterTensors& router,
                                          const std::array<double, 2>& rates) {
  const auto layers = static_cast<double>(router.exempt.size());
  const double routed =
      layers - static_cast<double>(std::count(router.exempt.begin(), router.exempt.end(), 1));
  const double factor = layers / std::max(routed, 1.0);
  return {rates[0] * factor, rates[1] * factor};
}

}  // namespace

Router InitRouter(const RouterConfig& config, const ModelConfig& model, uint64_t seed) {
  Router router;
  router.num_layers = model.num_layers;
  router.width = model.hidden_size;
  const auto layers = static_cast<size_t>(model.num_layers);
  const float scale = 0.1f / std::sqrt(static_cast<float>(model.hidden_size));
  RandomStream random(seed, "router");
  for (int64_t i = 0; i < model.num_layers * 2 * model.hidden_size; ++i) {
    router.weight.push_back(scale * Normal(&random));
  }
  router.bias.assign(layers * 4, static_cast<float>(kStartBias));
  router.exempt = ExemptLayers(config, model);
  router.target_rate = {config.rho_source, config.rho_target};
  return router;
}

std::vector<uint8_t> ExemptLayers(const RouterConfig& config, const ModelConfig& model) {
  std::vector<uint8_t> exempt(static_cast<size_t>(model.num_layers));
  if (config.exempt_layers.has_value()) {
    for (const int64_t layer : *config.exempt_layers) exempt[static_cast<size_t>(layer)] = 1;
  } else if (model.num_layers <= 12) {
    exempt[0] = 1;
  }
  return exempt;
}

RouterSchedule RouterScheduleAt(const TrainConfig& config, int64_t step) {
  const double t = static_cast<double>(step),
               n = static_cast<double>(std::max<int64_t>(config.max_steps, 1));
  const bool from_scratch = config.stage != "joint";
  RouterSchedule schedule;
  schedule.temperature = from_scratch ? 5.0 - 4.0 * t / std::max(n - 1.0, 1.0) : 1.0;
  schedule.noise = t < 0.8 * n ? 1.0 : std::max(0.0, 1.0 - (t - 0.8 * n) / (0.2 * n));
  const double risen = from_scratch ? std::min(1.0, t / (0.3 * n)) : 1.0;
  schedule.target_rate = {config.router.rho_source * risen, config.router.rho_target * risen};
  return schedule;
}

RowGates RowGates::Noisy(const RouterTensors& router, const ModelConfig& model,
                         const torch::Tensor& groups, const RouterSchedule& schedule) {
  return RowGates(router, model, groups,
                  [schedule](const RowGates& self, int64_t layer, const torch::Tensor& x) {
                    return self.NoisyGates(layer, x, schedule);
                  });
}

RowGates RowGates::Deterministic(const RouterTensors& router, const ModelConfig& model,
                                 const torch::Tensor& groups) {
  return RowGates(
      router, model, groups, [](const RowGates& self, int64_t layer, const torch::Tensor& x) {
        torch::NoGradGuard no_grad;
        return ThresholdGates(self.router_, layer, x, self.groups_, {}, self.model_.rms_norm_eps);
      });
}

RowGates RowGates::TopRows(const RouterTensors& router, const ModelConfig& model,
                           const torch::Tensor& groups, int64_t columns,
                           const std::array<double, 2>& rates) {
  const std::array<double, 2> in_layer = RatesInRoutedLayers(router, rates);
  return RowGates(router, model, groups,
                  [in_layer, columns](const RowGates& self, int64_t layer, const torch::Tensor& x) {
                    torch::NoGradGuard no_grad;
                    return self.TopGates(layer, x, columns, in_layer);
                  });
}

RowGates RowGates::Random(const RouterTensors& router, const ModelConfig& model,
                          const torch::Tensor& groups, const std::array<double, 2>& rates) {
  const std::array<double, 2> in_layer = RatesInRoutedLayers(router, rates);
  return RowGates(router, model, groups,
                  [in_layer](const RowGates& self, int64_t, const torch::Tensor&) {
                    return self.RandomGatesOf(in_layer);
                  });
}

GateFn RowGates::function() {
  gates_.clear();
  return [this](int64_t layer, const torch::Tensor& x) -> torch::Tensor {
    const bool exempt = router_.exempt[static_cast<size_t>(layer)] != 0;
    gates_.push_back(exempt ? torch::ones({x.size(0), 2}, x.device()) : decide_(*this, layer, x));
    if (exempt || !router_.scale_outputs) return gates_.back();
    const torch::Tensor score =
        torch::sigmoid(RouterScoresOf(router_, layer, x, groups_, model_.rms_norm_eps));
    return gates_.back() * torch::where(Forced(), torch::ones_like(score), score);
  };
}

torch::Tensor RowGates::Forced() const {
  return (groups_ == static_cast<int64_t>(RowGroup::kForced)).unsqueeze(1);
}

torch::Tensor RowGates::NoisyGates(int64_t layer, const torch::Tensor& x,
                                   const RouterSchedule& schedule) const {
  const torch::Tensor z = RouterScoresOf(router_, layer, x, groups_, model_.rms_norm_eps);
  torch::Tensor u = torch::rand_like(z).clamp(1e-6, 1.0 - 1e-6);
  if (router_.per_layer) u = u.narrow(1, 0, 1).expand_as(u);
  const torch::Tensor noisy = z + schedule.noise * (u / (1.0 - u)).log();
  const torch::Tensor soft = torch::sigmoid(noisy / schedule.temperature);
  const torch::Tensor hard = (noisy > 0).to(torch::kFloat32);
  return torch::where(Forced(), torch::ones_like(soft), hard + soft - soft.detach());
}

torch::Tensor RowGates::RandomGatesOf(const std::array<double, 2>& rates) const {
  const torch::Tensor rate =
      torch::where(groups_ == GroupValue(1), rates[1], rates[0]).unsqueeze(1);
  const torch::Tensor u = torch::rand({groups_.size(0), 2}, groups_.device());
  return ((u >= rate) | Forced()).to(torch::kFloat32);
}

torch::Tensor RowGates::TopGates(int64_t layer, const torch::Tensor& x, int64_t columns,
                                 const std::array<double, 2>& rates) const {
  const torch::Tensor z =
      RouterScoresOf(router_, layer, x, groups_, model_.rms_norm_eps).reshape({-1, columns, 2});
  const torch::Tensor groups = groups_.reshape({-1, columns, 1});
  torch::Tensor runs = Forced().reshape({-1, columns, 1}).expand_as(z).clone();
  for (size_t g = 0; g < 2; ++g) {
    const torch::Tensor in_group = (groups == GroupValue(g)).expand_as(z);
    const torch::Tensor scores = z.masked_fill(~in_group, -std::numeric_limits<float>::infinity());
    // Place of every row of the sample in the order of falling scores.
    const torch::Tensor place = scores.argsort(int64_t{1}, /*descending=*/true).argsort(int64_t{1});
    const torch::Tensor count =
        (in_group.sum(1, /*keepdim=*/true) * (1.0 - rates[g])).floor().clamp_min(1.0);
    runs |= in_group & (place < count);
  }
  return runs.reshape({-1, 2}).to(torch::kFloat32);
}

torch::Tensor RowGates::SkipShares(size_t group) const {
  const torch::Tensor in_group = (groups_ == GroupValue(group)).to(torch::kFloat32);
  const torch::Tensor count = in_group.sum().clamp_min(1.0);
  std::vector<torch::Tensor> layers;
  for (const torch::Tensor& gates : gates_) {
    layers.push_back(((1.0 - gates) * in_group.unsqueeze(1)).sum(0) / count);
  }
  return torch::stack(layers);
}

torch::Tensor RowGates::Rate(size_t group) const {
  const LayerWeightCounts counts = CountLayerWeights(model_);
  return Rate(group, {counts.attention(), counts.mlp});
}

torch::Tensor RowGates::Rate(size_t group, const std::array<double, 2>& module_weights) const {
  const torch::Tensor shares = SkipShares(group).mean(0);  // of attention, of MLP
  return (shares[0] * module_weights[0] + shares[1] * module_weights[1]) /
         (module_weights[0] + module_weights[1]);
}

int64_t RowGates::rows(size_t group) const {
  return (groups_ == GroupValue(group)).sum().item<int64_t>();
}

std::array<double, 2> BudgetWeights(const RouterConfig& config, const ModelConfig& model) {
  const LayerWeightCounts counts = CountLayerWeights(model);
  if (config.budget_weights == "par") return {counts.attention(), counts.mlp};
  constexpr double kWeightBytes = 1, kCacheBytes = 2;
  const auto cached = static_cast<double>(2 * model.num_kv_heads * model.head_dim);
  return {counts.query_output * kWeightBytes +
              static_cast<double>(config.budget_context) * cached * kCacheBytes,
          counts.mlp * kWeightBytes};
}

BudgetWindow::BudgetWindow() : window_(torch::zeros({2, kWindow, 2})) {}

void BudgetWindow::Add(const std::array<double, 2>& rates, const std::array<int64_t, 2>& rows) {
  torch::NoGradGuard no_grad;
  window_.narrow(1, 0, kWindow - 1).copy_(window_.narrow(1, 1, kWindow - 1).clone());
  for (int64_t g = 0; g < 2; ++g) {
    const auto count = static_cast<double>(rows[static_cast<size_t>(g)]);
    window_[g][kWindow - 1][0] = rates[static_cast<size_t>(g)] * count;
    window_[g][kWindow - 1][1] = count;
  }
}

double BudgetWindow::Mean(size_t group) const {
  const torch::Tensor sums = window_[static_cast<int64_t>(group)].sum(0);
  const double rows = sums[1].item<double>();
  return rows > 0 ? sums[0].item<double>() / rows : 0.0;
}

double BudgetWindow::Direction(size_t group, double target) const {
  const double difference = Mean(group) - target;
  if (std::fabs(difference) < kDeadBand) return 0.0;
  return difference > 0 ? 1.0 : -1.0;
}

absl::StatusOr<Calibration> CalibrateThresholds(
    const ModelConfig& model, const TransformerWeights& weights, const RotaryTable& rotary,
    const std::vector<MicroBatch>& batches, const ForwardOptions& forward,
    const std::array<double, 2>& target, RouterTensors* router,
    const std::function<void(const std::string&)>& progress, const std::atomic<bool>* stop) {
  torch::NoGradGuard no_grad;
  Calibration result;
  const auto measure = [&]() -> absl::Status {
    std::array<double, 2> skipped{}, rows{};
    for (const MicroBatch& batch : batches) {
      if (stop != nullptr && stop->load()) {
        return absl::CancelledError("stopped while calibrating; the same command does it anew");
      }
      RowGates gates = RowGates::Deterministic(*router, model, batch.form.groups);
      ForwardOptions options = forward;
      options.gates = gates.function();
      RunTrainingForm(model, weights, rotary, batch.form, options);
      for (size_t g = 0; g < 2; ++g) {
        const auto count = static_cast<double>(gates.rows(g));
        skipped[g] += gates.Rate(g).item<double>() * count;
        rows[g] += count;
      }
    }
    ++result.forward_passes;
    for (size_t g = 0; g < 2; ++g) result.rates[g] = rows[g] > 0 ? skipped[g] / rows[g] : 0.0;
    return absl::OkStatus();
  };
  for (int round = 0; round < 3; ++round) {
    for (size_t g = 0; g < 2; ++g) {
      DRAGOMAN_RETURN_IF_ERROR(measure());
      // A bracket around the threshold in use, then halves of it.
      double low = router->theta[static_cast<int64_t>(g)].item<double>(), high = low;
      double width = round == 0 ? 1.0 : 0.25;
      const auto set = [&](double theta) { router->theta[static_cast<int64_t>(g)] = theta; };
      const bool too_few = result.rates[g] < target[g];
      while (std::fabs(low + high) < 200 &&
             (too_few ? result.rates[g] < target[g] - kCloseEnough
                      : result.rates[g] > target[g] + kCloseEnough)) {
        (too_few ? low : high) = too_few ? high : low;
        set(too_few ? high += width : low -= width);
        width *= 2;
        DRAGOMAN_RETURN_IF_ERROR(measure());
      }
      for (int i = 0; i < 20 && std::fabs(result.rates[g] - target[g]) > kCloseEnough; ++i) {
        const double middle = (low + high) / 2;
        set(middle);
        DRAGOMAN_RETURN_IF_ERROR(measure());
        (result.rates[g] < target[g] ? low : high) = middle;
      }
      if (progress) {
        progress(absl::StrFormat("calibration round %d, %s rows: theta %.3f skips %.3f of %.3f",
                                 round + 1, g == 0 ? "source" : "target",
                                 router->theta[static_cast<int64_t>(g)].item<double>(),
                                 result.rates[g], target[g]));
      }
    }
    if (std::fabs(result.rates[0] - target[0]) <= kCloseEnough &&
        std::fabs(result.rates[1] - target[1]) <= kCloseEnough) {
      break;
    }
  }
  for (size_t g = 0; g < 2; ++g) {
    if (std::fabs(result.rates[g] - target[g]) > kOutOfReach) {
      return absl::FailedPreconditionError(absl::StrFormat(
          "the thresholds reach a skip rate of %.3f, asked for %.3f; train the router longer",
          result.rates[g], target[g]));
    }
  }
  return result;
}

}  // namespace dragoman::model
