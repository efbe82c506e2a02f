#include <cmath>

#include "model/kernels/row_ops.h"

namespace dragoman::model {

void RmsNormReference(const float* x, const float* weight, double eps, int64_t size, float* out) {
  double sum = 0;
  for (int64_t i = 0; i < size; ++i) sum += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  const double scale = 1.0 / std::sqrt(sum / static_cast<double>(size) + eps);
  for (int64_t i = 0; i < size; ++i) {
    out[i] = static_cast<float>(static_cast<double>(x[i]) * scale * static_cast<double>(weight[i]));
  }
}

void SwiGluReference(const float* gate_up, int64_t size, float* out) {
  for (int64_t i = 0; i < size; ++i) {
    const double gate = gate_up[i], up = gate_up[size + i];
    out[i] = static_cast<float>(gate / (1.0 + std::exp(-gate)) * up);
  }
}

void RouterScoresReference(const float* x, const float* weights, bool normalise, double eps,
                           int64_t size, float* out) {
  double sums[3] = {};
  for (int64_t i = 0; i < size; ++i) {
    const double value = x[i];
    sums[0] += value * static_cast<double>(weights[i]);
    sums[1] += value * static_cast<double>(weights[size + i]);
    sums[2] += value * value;
  }
  const double scale = normalise ? 1.0 / std::sqrt(sums[2] / static_cast<double>(size) + eps) : 1.0;
  for (int m = 0; m < 2; ++m) out[m] = static_cast<float>(sums[m] * scale);
}

}  // namespace dragoman::model
