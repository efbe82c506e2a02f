// Which modules a row skips (SkipGPT, arXiv 2506.04179). A module is the attention or the MLP of
// one layer; a gate says whether a row executes it. Keys and values are made for every row whatever
// its gates are, so a skipped row stays visible and the cache does not know about routing.
//
// Plain data, immutable once a backbone has it, therefore thread-safe.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "model/api/step_batch.h"

namespace dragoman::model {

// Bits of a gate byte: the modules of a layer that a row executes.
constexpr uint8_t kRunAttention = 1;
constexpr uint8_t kRunMlp = 2;
constexpr uint8_t kRunBoth = kRunAttention | kRunMlp;

// What a router's product is taken with: the residual stream divided by its root mean square, or
// the residual stream as it is (routers made elsewhere).
enum class RouterInput : uint8_t { kRms, kRaw };

// Trained scores, one per (layer, module): z = w . u + b of the group; a row executes the module
// unless z <= theta of its group + the offset of its stream. Scores are fp32 in a fixed order.
struct Router {
  int64_t num_layers = 0;
  int64_t width = 0;        // E: hidden size of the backbone
  int64_t hidden_size = 0;  // H; 0: linear. Else z = w . relu(V u + c) + b
  RouterInput input = RouterInput::kRms;
  std::vector<float> weight;              // [layers, 2, width], or [layers, 2, H]
  std::vector<float> bias;                // [2 groups, layers, 2]
  std::array<float, 2> theta = {};        // source, target
  std::vector<float> hidden_weight;       // [layers, 2, H, width]
  std::vector<float> hidden_bias;         // [layers, 2, H]
  std::vector<uint8_t> exempt;            // [layers]: 1 executes always
  std::array<double, 2> target_rate{};    // rho: asked for, parameter-weighted
  std::array<double, 2> measured_rate{};  // at calibration
  std::string base_digest;                // of the backbone's tensors
  std::string digest;                     // of the router's own tensors
  // Of the gates it was trained with: "faded", "sampled", or "none" for one that gives all counted
  // rows the same gates and has nothing to calibrate.
  std::string noise = "faded";
  std::string source, license;

  const float* weights_of(int64_t layer) const {
    return weight.data() + layer * 2 * (hidden_size > 0 ? hidden_size : width);
  }
  float bias_of(size_t group, int64_t layer, int module) const {
    return bias[(group * static_cast<size_t>(num_layers) + static_cast<size_t>(layer)) * 2 +
                static_cast<size_t>(module)];
  }
};

// Gates drawn by a counter-based generator from (seed, stream, side, position, layer, module): the
// `random` baseline, and rates for measuring speed.
struct RandomGates {
  std::array<double, 2> attention_rate{}, mlp_rate{};  // skipped share: source, target rows
  uint64_t seed = 1;
  std::vector<uint8_t> exempt;  // [layers]
};

// The same gates for all rows of a group: the `static`, `bi` and `uniform` baselines.
struct FixedGates {
  std::array<std::vector<uint8_t>, 2> gates;  // source, target: [layers] of gate bytes
};

using GateRule = std::variant<Router, RandomGates, FixedGates>;

// How skipped rows are computed; results are equal. kMasked computes all rows and drops results.
enum class RouterExec : uint8_t { kAuto, kGather, kMasked };

// "auto", "gather", "masked".
constexpr std::string_view RouterExecName(RouterExec exec) {
  switch (exec) {
    case RouterExec::kAuto:
      return "auto";
    case RouterExec::kGather:
      return "gather";
    case RouterExec::kMasked:
      return "masked";
  }
  return "";
}
constexpr std::optional<RouterExec> ParseRouterExec(std::string_view name) {
  for (const RouterExec exec : {RouterExec::kAuto, RouterExec::kGather, RouterExec::kMasked}) {
    if (name == RouterExecName(exec)) return exec;
  }
  return std::nullopt;
}

}  // namespace dragoman::model
