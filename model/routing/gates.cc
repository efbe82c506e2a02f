#include "model/routing/gates.h"

#include "base/check.h"
#include "base/random.h"

namespace dragoman::model {
namespace {

// Index of a group in arrays of two.
size_t GroupIndex(RowGroup group) { return group == RowGroup::kTarget ? 1 : 0; }

absl::Status Mismatch(const char* what, size_t got, size_t wanted) {
  return absl::InvalidArgumentError(
      absl::StrCat("gate rule: ", what, " has ", got, " entries, the model needs ", wanted));
}

}  // namespace

absl::Status CheckGateRule(const GateRule& rule, const ModelConfig& config) {
  const auto layers = static_cast<size_t>(config.num_layers);
  if (const auto* router = std::get_if<Router>(&rule)) {
    if (router->num_layers != config.num_layers || router->width != config.hidden_size) {
      return absl::InvalidArgumentError(
          absl::StrCat("router of ", router->num_layers, " layers and width ", router->width,
                       "; the model has ", config.num_layers, " and ", config.hidden_size));
    }
    const auto hidden = static_cast<size_t>(router->hidden_size);
    const size_t width = hidden > 0 ? hidden : static_cast<size_t>(router->width);
    if (router->weight.size() != layers * 2 * width) {
      return Mismatch("router.weight", router->weight.size(), layers * 2 * width);
    }
    if (router->bias.size() != layers * 4) {
      return Mismatch("router.bias", router->bias.size(), layers * 4);
    }
    const size_t inner = layers * 2 * hidden * static_cast<size_t>(router->width);
    if (router->hidden_weight.size() != inner) {
      return Mismatch("router.hidden.weight", router->hidden_weight.size(), inner);
    }
    if (router->hidden_bias.size() != layers * 2 * hidden) {
      return Mismatch("router.hidden.bias", router->hidden_bias.size(), layers * 2 * hidden);
    }
    if (router->exempt.size() != layers) {
      return Mismatch("exempt_layers", router->exempt.size(), layers);
    }
  } else if (const auto* random = std::get_if<RandomGates>(&rule)) {
    if (random->exempt.size() != layers) {
      return Mismatch("exempt_layers", random->exempt.size(), layers);
    }
  } else {
    for (const std::vector<uint8_t>& gates : std::get<FixedGates>(rule).gates) {
      if (gates.size() != layers) return Mismatch("fixed gates", gates.size(), layers);
    }
  }
  return absl::OkStatus();
}

bool IsExempt(const GateRule& rule, int64_t layer) {
  const auto at = static_cast<size_t>(layer);
  if (const auto* router = std::get_if<Router>(&rule)) return router->exempt[at] != 0;
  if (const auto* random = std::get_if<RandomGates>(&rule)) return random->exempt[at] != 0;
  const FixedGates& fixed = std::get<FixedGates>(rule);
  return fixed.gates[0][at] == kRunBoth && fixed.gates[1][at] == kRunBoth;
}

uint8_t GatesFromScores(const Router& router, const StepRow& row, int64_t layer, float attention,
                        float mlp) {
  if (row.group == RowGroup::kForced) return kRunBoth;
  const size_t group = GroupIndex(row.group);
  const float threshold = router.theta[group] + row.skip_offset;
  const float at = attention + router.bias_of(group, layer, 0);
  const float ml = mlp + router.bias_of(group, layer, 1);
  uint8_t gates = 0;
  if (!(at <= threshold)) gates |= kRunAttention;
  if (!(ml <= threshold)) gates |= kRunMlp;
  return gates;
}

uint8_t GatesWithoutScores(const GateRule& rule, const StepRow& row, int64_t layer) {
  if (row.group == RowGroup::kForced || IsExempt(rule, layer)) return kRunBoth;
  const size_t group = GroupIndex(row.group);
  if (const auto* fixed = std::get_if<FixedGates>(&rule)) {
    return fixed->gates[group][static_cast<size_t>(layer)];
  }
  const auto* random = std::get_if<RandomGates>(&rule);
  DRAGOMAN_CHECK(random != nullptr);
  const uint64_t place = static_cast<uint64_t>(row.position) * 2 + (row.side == Side::kTarget);
  RandomStream draws(random->seed ^ MixBits(static_cast<uint64_t>(layer)), "gates",
                     static_cast<uint64_t>(row.stream), place);
  uint8_t gates = 0;
  if (draws.NextUnit() >= random->attention_rate[group]) gates |= kRunAttention;
  if (draws.NextUnit() >= random->mlp_rate[group]) gates |= kRunMlp;
  return gates;
}

}  // namespace dragoman::model
