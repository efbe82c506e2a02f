#include "model/train/static_export.h"

#include <algorithm>

#include "base/check.h"
#include "model/routing/static_pruning.h"

namespace dragoman::model {
namespace {

// The router's part for one layer, behind what `out` has.
void CopyLayer(const Router& router, int64_t layer, uint8_t dropped, Router* out) {
  for (int module = 0; module < 2; ++module) {
    const bool gone = (dropped & (module == 0 ? kRunAttention : kRunMlp)) != 0;
    const int64_t columns = router.hidden_size > 0 ? router.hidden_size : router.width;
    const float* row = router.weights_of(layer) + module * columns;
    for (int64_t i = 0; i < columns; ++i) out->weight.push_back(gone ? 0.0f : row[i]);
    const int64_t inner = router.hidden_size * router.width;
    const auto at = static_cast<size_t>(layer * 2 + module);
    for (int64_t i = 0; i < inner; ++i) {
      out->hidden_weight.push_back(
          router.hidden_weight[at * static_cast<size_t>(inner) + static_cast<size_t>(i)]);
    }
    for (int64_t i = 0; i < router.hidden_size; ++i) {
      out->hidden_bias.push_back(router.hidden_bias[at * static_cast<size_t>(router.hidden_size) +
                                                    static_cast<size_t>(i)]);
    }
  }
  out->exempt.push_back(router.exempt[static_cast<size_t>(layer)]);
}

Router DropFromRouter(const Router& router, const std::vector<uint8_t>& dropped) {
  Router out = router;
  out.num_layers = 0;
  for (auto* values : {&out.weight, &out.bias, &out.hidden_weight, &out.hidden_bias}) {
    values->clear();
  }
  out.exempt.clear();
  for (size_t l = 0; l < dropped.size(); ++l) {
    if (dropped[l] == kRunBoth) continue;
    CopyLayer(router, static_cast<int64_t>(l), dropped[l], &out);
    ++out.num_layers;
  }
  for (size_t group = 0; group < 2; ++group) {
    for (size_t l = 0; l < dropped.size(); ++l) {
      if (dropped[l] == kRunBoth) continue;
      for (int module = 0; module < 2; ++module) {
        const bool gone = (dropped[l] & (module == 0 ? kRunAttention : kRunMlp)) != 0;
        out.bias.push_back(gone ? kCertainScore
                                : router.bias_of(group, static_cast<int64_t>(l), module));
      }
    }
  }
  return out;
}

// Whether every module that is left runs for all rows whatever their activations are.
bool NothingToDecide(const Router& router) {
  return router.noise == kNothingToCalibrate &&
         std::all_of(router.bias.begin(), router.bias.end(),
                     [](float bias) { return bias == kCertainScore; });
}

}  // namespace

StaticModel DropModules(const ModelConfig& config, const TransformerWeights& weights,
                        const Router& router, const std::vector<uint8_t>& dropped) {
  DRAGOMAN_CHECK(dropped.size() == static_cast<size_t>(config.num_layers));
  std::vector<uint8_t> gone = dropped;  // and what the model did not have before
  for (size_t l = 0; l < gone.size(); ++l) {
    const LayerModules modules = config.modules_of(static_cast<int64_t>(l));
    if (!modules.attention) gone[l] |= kRunAttention;
    if (!modules.mlp) gone[l] |= kRunMlp;
  }
  StaticModel out{config, weights, DropFromRouter(router, gone)};
  out.config.layers.clear();
  out.weights.layers.clear();
  for (size_t l = 0; l < gone.size(); ++l) {
    if (gone[l] == kRunBoth) continue;
    LayerModules modules;
    LayerWeights layer = weights.layers[l];
    if ((gone[l] & kRunAttention) != 0) {
      modules.attention = false;
      layer.attention_norm = layer.q_norm = layer.k_norm = torch::Tensor();
      layer.qkv = layer.output = Linear();
    }
    if ((gone[l] & kRunMlp) != 0) {
      modules.mlp = false;
      layer.ffn_norm = torch::Tensor();
      layer.gate_up = layer.down = Linear();
    }
    out.config.layers.push_back(modules);
    out.weights.layers.push_back(std::move(layer));
  }
  out.config.num_layers = static_cast<int64_t>(out.config.layers.size());
  DRAGOMAN_CHECK(out.config.num_layers > 0);
  if (std::all_of(out.config.layers.begin(), out.config.layers.end(),
                  [](const LayerModules& modules) { return modules == LayerModules(); })) {
    out.config.layers.clear();
  }
  if (NothingToDecide(*out.router)) out.router.reset();
  return out;
}

}  // namespace dragoman::model
