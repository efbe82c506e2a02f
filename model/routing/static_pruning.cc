#include "model/routing/static_pruning.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "model/routing/skip_statistics.h"

namespace dragoman::model {
namespace {

constexpr double kTolerance = 0.005;

// A part of the model that is dropped as a whole.
struct Candidate {
  size_t layer = 0;
  uint8_t modules = 0;
  double importance = 0;
  double share = 0;  // of the weights of all blocks
};

std::vector<Candidate> SingleModules(const ModuleImportance& importance,
                                     const LayerWeightCounts& counts, size_t layers) {
  std::vector<Candidate> candidates;
  const double all = counts.all() * static_cast<double>(layers);
  for (size_t l = 0; l < layers; ++l) {
    candidates.push_back({l, kRunAttention, importance.modules[2 * l], counts.attention() / all});
    candidates.push_back({l, kRunMlp, importance.modules[2 * l + 1], counts.mlp / all});
  }
  return candidates;
}

std::vector<Candidate> WholeLayers(const std::vector<double>& importance) {
  std::vector<Candidate> candidates;
  for (size_t l = 0; l < importance.size(); ++l) {
    candidates.push_back(
        {l, kRunBoth, importance[l], 1.0 / static_cast<double>(importance.size())});
  }
  return candidates;
}

// 0 for the layers between evenly spaced ones that stay, 1 for those.
std::vector<double> KeptEvenly(size_t layers, double rate) {
  std::vector<double> kept(layers, 0.0);
  const auto n = static_cast<double>(layers);
  const double keep = std::max(1.0, n - std::round(rate * n));
  for (double j = 0; j < keep; ++j) {
    const double at = keep > 1 ? std::round(j * (n - 1) / (keep - 1)) : 0.0;
    kept[static_cast<size_t>(at)] = 1.0;
  }
  return kept;
}

}  // namespace

absl::StatusOr<PruneMethod> ParsePruneMethod(std::string_view name) {
  if (name == "static") return PruneMethod::kStatic;
  if (name == "bi") return PruneMethod::kBlockInfluence;
  if (name == "uniform") return PruneMethod::kUniform;
  return absl::InvalidArgumentError(absl::StrCat("prune method \"", std::string(name),
                                                 "\" is unknown; use static, bi or uniform"));
}

absl::StatusOr<std::vector<uint8_t>> ChoosePrunedModules(PruneMethod method,
                                                         const ModuleImportance& importance,
                                                         const ModelConfig& model, double rate,
                                                         const std::vector<uint8_t>& exempt) {
  const auto layers = static_cast<size_t>(model.num_layers);
  if (!(rate >= 0 && rate < 1)) {
    return absl::InvalidArgumentError(absl::StrCat("prune rate ", rate, " is not in [0, 1)"));
  }
  if (exempt.size() != layers ||
      (method != PruneMethod::kUniform &&
       (importance.layers.size() != layers || importance.modules.size() != 2 * layers))) {
    return absl::InvalidArgumentError("importance or exempt layers are not of this model");
  }
  std::vector<Candidate> candidates =
      method == PruneMethod::kStatic
          ? SingleModules(importance, CountLayerWeights(model), layers)
          : WholeLayers(method == PruneMethod::kUniform ? KeptEvenly(layers, rate)
                                                        : importance.layers);
  std::stable_sort(
      candidates.begin(), candidates.end(),
      [](const Candidate& a, const Candidate& b) { return a.importance < b.importance; });
  std::vector<uint8_t> gates(layers, kRunBoth);
  double dropped = 0;
  for (const Candidate& candidate : candidates) {
    if (method != PruneMethod::kUniform && exempt[candidate.layer] != 0) continue;
    if (dropped + candidate.share > rate + kTolerance) continue;
    gates[candidate.layer] &= static_cast<uint8_t>(~candidate.modules);
    dropped += candidate.share;
  }
  if (std::fabs(dropped - rate) > kTolerance) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "dropping whole %s of this model reaches a rate of %.3f, asked for %.3f; ask for that rate",
        method == PruneMethod::kStatic ? "modules" : "layers", dropped, rate));
  }
  return gates;
}

Router ConstantRouter(const ModelConfig& model, const std::vector<uint8_t>& gates) {
  const auto layers = static_cast<size_t>(model.num_layers);
  Router router;
  router.num_layers = model.num_layers;
  router.width = model.hidden_size;
  router.noise = kNothingToCalibrate;
  router.weight.assign(layers * 2 * static_cast<size_t>(model.hidden_size), 0.0f);
  router.exempt.assign(layers, 0);
  for (size_t group = 0; group < 2; ++group) {
    for (const uint8_t byte : gates) {
      router.bias.push_back((byte & kRunAttention) != 0 ? kCertainScore : -kCertainScore);
      router.bias.push_back((byte & kRunMlp) != 0 ? kCertainScore : -kCertainScore);
    }
  }
  return router;
}

}  // namespace dragoman::model
