// Gate bytes of rows inside the native backbone: the router's products run in its kernels.
#pragma once

#include <cstdint>

#include "model/api/gate_rule.h"

namespace dragoman::model {

// Decides for one row of one layer. `x`: the layer's input, the residual stream, [hidden size].
// fp32 in a fixed order, so a row has the same gates in any batch. `scores`: null, or gets the z of
// attention and MLP where a router was asked. Thread-safe.
uint8_t DecideGates(const GateRule& rule, const StepRow& row, int64_t layer, const float* x,
                    double rms_norm_eps, float* scores);

}  // namespace dragoman::model
