// Baselines that drop the same modules for every row (skip_routing.md section 9): which modules go
// at a parameter-weighted rate. Pure functions; thread-safe.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "model/api/gate_rule.h"
#include "model/api/model_config.h"

namespace dragoman::model {

enum class PruneMethod : uint8_t {
  kStatic,  // single modules, one joint list of attentions and MLPs (Joint Layer Drop, 2406.15786)
  kBlockInfluence,  // whole layers that change their input least (ShortGPT, 2403.03853)
  kUniform,         // whole layers, evenly spaced (Unified Layer Skipping, 2404.06954)
};

// "static", "bi", "uniform". Errors: InvalidArgument.
absl::StatusOr<PruneMethod> ParsePruneMethod(std::string_view name);

// How much modules and layers change what passes through them: 1 - mean cosine of the residual
// stream before and after.
struct ModuleImportance {
  std::vector<double> layers;   // [layers]
  std::vector<double> modules;  // [layers, 2]: attention, MLP
};

// Gate bytes [layers] of the pruned model. Modules go in the order of their importance (kUniform:
// by place) while the rate of dropped weights stays within 0.005 of `rate` or below it. Layers with
// `exempt` set stay whole; kUniform does not look at it. Errors: InvalidArgument (rate outside
// [0, 1), shapes), FailedPrecondition (no choice comes within 0.005 of the rate).
absl::StatusOr<std::vector<uint8_t>> ChoosePrunedModules(PruneMethod method,
                                                         const ModuleImportance& importance,
                                                         const ModelConfig& model, double rate,
                                                         const std::vector<uint8_t>& exempt);

// Router::noise of a router that gives all counted rows the same gates.
constexpr char kNothingToCalibrate[] = "none";

// Score of a module that such a router runs always; minus it, never. Far beyond the largest offset
// of the dial.
constexpr float kCertainScore = 100;

// A router that gives every counted row the same gates, whatever the skip dial says.
Router ConstantRouter(const ModelConfig& model, const std::vector<uint8_t>& gates);

}  // namespace dragoman::model
