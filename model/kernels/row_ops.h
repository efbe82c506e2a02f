// Operations on single rows between the matrix products. Each row is computed alone, so its bits do
// not depend on the batch. Thread-safe.
#pragma once

#include <cstdint>

namespace dragoman::model {

// out = x / sqrt(mean(x^2) + eps) * weight. `out` may be `x`. (Zhang and Sennrich 2019)
void RmsNorm(const float* x, const float* weight, double eps, int64_t size, float* out);
void RmsNormReference(const float* x, const float* weight, double eps, int64_t size, float* out);

// out[i] = silu(gate[i]) * up[i] for `gate_up` = gate, then up, `size` each. (Shazeer 2020)
void SwiGlu(const float* gate_up, int64_t size, float* out);
void SwiGluReference(const float* gate_up, int64_t size, float* out);

// Router scores of one row (gate_rule.h): out[m] = dot(weights[m], x) for the two rows of `weights`
// [2, size], divided by sqrt(mean(x^2) + eps) when `normalise`. fp32 sums in one fixed order.
void RouterScores(const float* x, const float* weights, bool normalise, double eps, int64_t size,
                  float* out);
void RouterScoresReference(const float* x, const float* weights, bool normalise, double eps,
                           int64_t size, float* out);

// Rotates the pairs (i, i + head_dim / 2) of one head by the angles of one position.
//   cos, sin: [head_dim / 2].
void Rotate(const float* cos, const float* sin, int64_t head_dim, float* head);

}  // namespace dragoman::model
