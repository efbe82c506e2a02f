// The end of a matrix product: bias, residual, and the rim of the last panel. Included once per
// instruction set by the kernels.
#if defined(DRAGOMAN_STORE_OUTPUTS_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef DRAGOMAN_STORE_OUTPUTS_INL_H
#undef DRAGOMAN_STORE_OUTPUTS_INL_H
#else
#define DRAGOMAN_STORE_OUTPUTS_INL_H
#endif

#include <cstdint>

#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace dragoman::model {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Where the outputs of one row go: y[o] = sum + bias[o], or y[o] += that.
struct OutputRow {
  float* y = nullptr;           // [outputs]
  const float* bias = nullptr;  // [outputs], may be null
  bool accumulate = false;
  int64_t outputs = 0;
};

// One vector of sums for the outputs from `first` on; those behind the last are dropped.
template <class D>
HWY_INLINE void StoreOutputs(D d, hn::Vec<D> sums, int64_t first, const OutputRow& row) {
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  if (first + lanes <= row.outputs) {
    if (row.bias != nullptr) sums = hn::Add(sums, hn::LoadU(d, row.bias + first));
    if (row.accumulate) sums = hn::Add(hn::LoadU(d, row.y + first), sums);
    hn::StoreU(sums, d, row.y + first);
    return;
  }
  HWY_ALIGN float rest[HWY_MAX_BYTES / sizeof(float)];
  hn::Store(sums, d, rest);
  for (int64_t o = first; o < row.outputs; ++o) {
    const float value = row.bias == nullptr ? rest[o - first] : rest[o - first] + row.bias[o];
    row.y[o] = row.accumulate ? row.y[o] + value : value;
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace dragoman::model
HWY_AFTER_NAMESPACE();

#endif
