#include "model/native/row_gates.h"

#include <algorithm>

#include "model/kernels/row_ops.h"
#include "model/routing/gates.h"

namespace dragoman::model {
namespace {

// z = w . relu(V u + c) for both modules of a layer; two rows of V at a time.
void HiddenScores(const Router& router, int64_t layer, const float* x, double eps, float* out) {
  const int64_t hidden = router.hidden_size;
  const float* const inner = router.hidden_weight.data() + layer * 2 * hidden * router.width;
  const float* const bias = router.hidden_bias.data() + layer * 2 * hidden;
  const float* const weight = router.weights_of(layer);
  out[0] = out[1] = 0;
  for (int64_t j = 0; j < 2 * hidden; j += 2) {
    float pair[2];
    RouterScores(x, inner + j * router.width, router.input == RouterInput::kRms, eps, router.width,
                 pair);
    for (int64_t k = 0; k < 2; ++k) {
      out[(j + k) / hidden] += weight[j + k] * std::max(pair[k] + bias[j + k], 0.0f);
    }
  }
}

}  // namespace

uint8_t DecideGates(const GateRule& rule, const StepRow& row, int64_t layer, const float* x,
                    double rms_norm_eps, float* scores) {
  const auto* router = std::get_if<Router>(&rule);
  if (router == nullptr) return GatesWithoutScores(rule, row, layer);
  if (row.group == RowGroup::kForced || IsExempt(rule, layer)) return kRunBoth;
  float products[2];
  if (router->hidden_size > 0) {
    HiddenScores(*router, layer, x, rms_norm_eps, products);
  } else {
    RouterScores(x, router->weights_of(layer), router->input == RouterInput::kRms, rms_norm_eps,
                 router->width, products);
  }
  if (scores != nullptr) {
    const size_t group = row.group == RowGroup::kTarget ? 1 : 0;
    for (int m = 0; m < 2; ++m) scores[m] = products[m] + router->bias_of(group, layer, m);
  }
  return GatesFromScores(*router, row, layer, products[0], products[1]);
}

}  // namespace dragoman::model
