#include "model/kernels/matmul.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "model/kernels/matmul.cc"
#include "hwy/foreach_target.h"
// Must come after foreach_target.h.
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace dragoman::model {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// At most 16 lanes, so that a panel is always an even number of vectors.
using Tag = hn::CappedTag<float, 16>;
using Vec = hn::Vec<Tag>;

// Rows of one tile: 2 vectors x 2 sums x rows accumulators have to fit the registers.
#if HWY_TARGET <= HWY_AVX3
constexpr int64_t kTileRows = 4;
#else
constexpr int64_t kTileRows = 3;
#endif

HWY_INLINE Vec LoadWeights(Tag d, const float* panel) { return hn::LoadU(d, panel); }
HWY_INLINE Vec LoadWeights(Tag d, const uint16_t* panel) {
  const hn::RebindToUnsigned<Tag> du;
  const hn::Rebind<uint16_t, Tag> d16;
  return hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(du, hn::LoadU(d16, panel))));
}

// kRows rows times 2 vectors of outputs; `panel` points to the first of these outputs.
template <int64_t kRows, typename T>
HWY_INLINE void Tile(const T* HWY_RESTRICT panel, int64_t inputs, const float* HWY_RESTRICT x,
                     int64_t x_stride, float* HWY_RESTRICT out, int64_t out_stride) {
  const Tag d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  Vec even0[kRows], even1[kRows], odd0[kRows], odd1[kRows];
  for (int64_t r = 0; r < kRows; ++r) {
    even0[r] = even1[r] = odd0[r] = odd1[r] = hn::Zero(d);
  }
  int64_t k = 0;
  for (; k + 2 <= inputs; k += 2) {
    const Vec w0 = LoadWeights(d, panel);
    const Vec w1 = LoadWeights(d, panel + lanes);
    for (int64_t r = 0; r < kRows; ++r) {
      const Vec value = hn::Set(d, x[r * x_stride + k]);
      even0[r] = hn::MulAdd(value, w0, even0[r]);
      even1[r] = hn::MulAdd(value, w1, even1[r]);
    }
    const Vec w2 = LoadWeights(d, panel + PackedMatrix::kPanelOutputs);
    const Vec w3 = LoadWeights(d, panel + PackedMatrix::kPanelOutputs + lanes);
    for (int64_t r = 0; r < kRows; ++r) {
      const Vec value = hn::Set(d, x[r * x_stride + k + 1]);
      odd0[r] = hn::MulAdd(value, w2, odd0[r]);
      odd1[r] = hn::MulAdd(value, w3, odd1[r]);
    }
    panel += 2 * PackedMatrix::kPanelOutputs;
  }
  if (k < inputs) {
    const Vec w0 = LoadWeights(d, panel);
    const Vec w1 = LoadWeights(d, panel + lanes);
    for (int64_t r = 0; r < kRows; ++r) {
      const Vec value = hn::Set(d, x[r * x_stride + k]);
      even0[r] = hn::MulAdd(value, w0, even0[r]);
      even1[r] = hn::MulAdd(value, w1, even1[r]);
    }
  }
  for (int64_t r = 0; r < kRows; ++r) {
    hn::StoreU(hn::Add(even0[r], odd0[r]), d, out + r * out_stride);
    hn::StoreU(hn::Add(even1[r], odd1[r]), d, out + r * out_stride + lanes);
  }
}

template <typename T>
HWY_INLINE void TileOfRows(int64_t rows, const T* panel, int64_t inputs, const float* x,
                           int64_t x_stride, float* out, int64_t out_stride) {
  switch (rows) {
    case 1:
      return Tile<1>(panel, inputs, x, x_stride, out, out_stride);
    case 2:
      return Tile<2>(panel, inputs, x, x_stride, out, out_stride);
    case 3:
      return Tile<3>(panel, inputs, x, x_stride, out, out_stride);
    default:
      return Tile<kTileRows>(panel, inputs, x, x_stride, out, out_stride);
  }
}

template <typename T>
HWY_INLINE void Panel(const T* panel, int64_t inputs, int64_t first, int64_t outputs,
                      const MatMulRows& rows) {
  constexpr int64_t kWidth = PackedMatrix::kPanelOutputs;
  const auto step = 2 * static_cast<int64_t>(hn::Lanes(Tag()));
  HWY_ALIGN float sums[kTileRows * kWidth];
  for (int64_t row = 0; row < rows.rows; row += kTileRows) {
    const int64_t count = std::min(kTileRows, rows.rows - row);
    for (int64_t part = 0; part < kWidth; part += step) {
      TileOfRows(count, panel + part, inputs, rows.x + row * rows.x_stride, rows.x_stride,
                 sums + part, kWidth);
    }
    for (int64_t r = 0; r < count; ++r) {
      float* y = rows.y + (row + r) * rows.y_stride + first;
      const float* sum = sums + r * kWidth;
      for (int64_t o = 0; o < outputs; ++o) {
        const float value = rows.bias == nullptr ? sum[o] : sum[o] + rows.bias[first + o];
        y[o] = rows.accumulate ? y[o] + value : value;
      }
    }
  }
}

void MatMulPanels(const PackedMatrix& weights, const MatMulRows& rows, int64_t panel_begin,
                  int64_t panel_end) {
  for (int64_t p = panel_begin; p < panel_end; ++p) {
    const int64_t first = p * PackedMatrix::kPanelOutputs;
    const int64_t outputs = std::min(PackedMatrix::kPanelOutputs, weights.outputs() - first);
    if (weights.type() == WeightType::kFloat32) {
      Panel(weights.float32_panel(p), weights.inputs(), first, outputs, rows);
    } else {
      Panel(weights.bfloat16_panel(p), weights.inputs(), first, outputs, rows);
    }
  }
}

const char* TargetName() { return hwy::TargetName(HWY_TARGET); }

}  // namespace HWY_NAMESPACE
}  // namespace dragoman::model
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace dragoman::model {

HWY_EXPORT(MatMulPanels);
HWY_EXPORT(TargetName);

void MatMul(const PackedMatrix& weights, const MatMulRows& rows, int64_t panel_begin,
            int64_t panel_end) {
  HWY_DYNAMIC_DISPATCH(MatMulPanels)(weights, rows, panel_begin, panel_end);
}

const char* KernelTarget() { return HWY_DYNAMIC_DISPATCH(TargetName)(); }

}  // namespace dragoman::model
#endif
