#include "model/kernels/row_ops.h"

#include <cmath>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "model/kernels/row_ops.cc"
#include "hwy/foreach_target.h"
// Must come after foreach_target.h.
#include "hwy/contrib/math/math-inl.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace dragoman::model {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Tag = hn::CappedTag<float, 16>;
using Vec = hn::Vec<Tag>;

void RmsNormRow(const float* x, const float* weight, double eps, int64_t size, float* out) {
  const Tag d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  Vec sum0 = hn::Zero(d), sum1 = hn::Zero(d);
  int64_t i = 0;
  for (; i + 2 * lanes <= size; i += 2 * lanes) {
    const Vec a = hn::LoadU(d, x + i), b = hn::LoadU(d, x + i + lanes);
    sum0 = hn::MulAdd(a, a, sum0);
    sum1 = hn::MulAdd(b, b, sum1);
  }
  float total = hn::GetLane(hn::SumOfLanes(d, hn::Add(sum0, sum1)));
  for (; i < size; ++i) total += x[i] * x[i];
  const double mean = static_cast<double>(total) / static_cast<double>(size);
  const auto scale = static_cast<float>(1.0 / std::sqrt(mean + eps));
  const Vec scales = hn::Set(d, scale);
  for (i = 0; i + lanes <= size; i += lanes) {
    hn::StoreU(hn::Mul(hn::Mul(hn::LoadU(d, x + i), scales), hn::LoadU(d, weight + i)), d, out + i);
  }
  for (; i < size; ++i) out[i] = x[i] * scale * weight[i];
}

void RouterScoresRow(const float* x, const float* weights, bool normalise, double eps, int64_t size,
                     float* out) {
  const Tag d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const float* const mlp = weights + size;
  Vec first = hn::Zero(d), second = hn::Zero(d), square = hn::Zero(d);
  int64_t i = 0;
  for (; i + lanes <= size; i += lanes) {
    const Vec a = hn::LoadU(d, x + i);
    first = hn::MulAdd(a, hn::LoadU(d, weights + i), first);
    second = hn::MulAdd(a, hn::LoadU(d, mlp + i), second);
    square = hn::MulAdd(a, a, square);
  }
  float sums[3] = {hn::GetLane(hn::SumOfLanes(d, first)), hn::GetLane(hn::SumOfLanes(d, second)),
                   hn::GetLane(hn::SumOfLanes(d, square))};
  for (; i < size; ++i) {
    sums[0] += x[i] * weights[i];
    sums[1] += x[i] * mlp[i];
    sums[2] += x[i] * x[i];
  }
  const double mean = static_cast<double>(sums[2]) / static_cast<double>(size);
  const float scale = normalise ? static_cast<float>(1.0 / std::sqrt(mean + eps)) : 1.0f;
  out[0] = sums[0] * scale;
  out[1] = sums[1] * scale;
}

HWY_INLINE Vec SwiGluVector(Tag d, Vec gate, Vec up) {
  const Vec one = hn::Set(d, 1.0f);
  // Highway's exponential is wrong where the result would be infinite.
  const Vec exponent = hn::Min(hn::Neg(gate), hn::Set(d, 88.0f));
  return hn::Mul(hn::Div(gate, hn::Add(one, hn::Exp(d, exponent))), up);
}

void SwiGluRow(const float* gate_up, int64_t size, float* out) {
  const Tag d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= size; i += lanes) {
    hn::StoreU(SwiGluVector(d, hn::LoadU(d, gate_up + i), hn::LoadU(d, gate_up + size + i)), d,
               out + i);
  }
  // The rest goes through the same function, so that an entry does not depend on its place.
  HWY_ALIGN float gate[16] = {}, up[16] = {}, rest[16];
  for (int64_t j = i; j < size; ++j) {
    gate[j - i] = gate_up[j];
    up[j - i] = gate_up[size + j];
  }
  if (i < size) {
    hn::StoreU(SwiGluVector(d, hn::LoadU(d, gate), hn::LoadU(d, up)), d, rest);
    for (int64_t j = i; j < size; ++j) out[j] = rest[j - i];
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace dragoman::model
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace dragoman::model {

HWY_EXPORT(RmsNormRow);
HWY_EXPORT(SwiGluRow);
HWY_EXPORT(RouterScoresRow);

void RouterScores(const float* x, const float* weights, bool normalise, double eps, int64_t size,
                  float* out) {
  HWY_DYNAMIC_DISPATCH(RouterScoresRow)(x, weights, normalise, eps, size, out);
}

void RmsNorm(const float* x, const float* weight, double eps, int64_t size, float* out) {
  HWY_DYNAMIC_DISPATCH(RmsNormRow)(x, weight, eps, size, out);
}

void SwiGlu(const float* gate_up, int64_t size, float* out) {
  HWY_DYNAMIC_DISPATCH(SwiGluRow)(gate_up, size, out);
}

void Rotate(const float* cos, const float* sin, int64_t head_dim, float* head) {
  const int64_t half = head_dim / 2;
  for (int64_t i = 0; i < half; ++i) {
    const float a = head[i], b = head[i + half];
    head[i] = a * cos[i] - b * sin[i];
    head[i + half] = b * cos[i] + a * sin[i];
  }
}

}  // namespace dragoman::model
#endif
