#include "model/kernels/matmul.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "model/kernels/matmul.cc"
#include "hwy/foreach_target.h"
// Must come after foreach_target.h.
#include "hwy/highway.h"
#include "model/kernels/store_outputs-inl.h"

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
                     int64_t x_stride, const OutputRow& out, int64_t y_stride, int64_t first) {
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
    OutputRow row = out;
    row.y += r * y_stride;
    StoreOutputs(d, hn::Add(even0[r], odd0[r]), first, row);
    StoreOutputs(d, hn::Add(even1[r], odd1[r]), first + lanes, row);
  }
}

// Tile<rows> for a number of rows that is known when it runs.
template <int64_t kRows, typename... Arguments>
HWY_INLINE void TileOfRows(int64_t rows, const Arguments&... arguments) {
  if constexpr (kRows > 1) {
    if (rows < kRows) return TileOfRows<kRows - 1>(rows, arguments...);
  }
  Tile<kRows>(arguments...);
}

template <typename T>
HWY_INLINE void Panel(const T* panel, const PackedMatrix& weights, int64_t first,
                      const MatMulRows& rows) {
  const auto step = 2 * static_cast<int64_t>(hn::Lanes(Tag()));
  for (int64_t r = 0; r < rows.rows; r += kTileRows) {
    const OutputRow out{rows.y + r * rows.y_stride, rows.bias, rows.accumulate, weights.outputs()};
    for (int64_t part = 0; part < PackedMatrix::kPanelOutputs; part += step) {
      TileOfRows<kTileRows>(rows.rows - r, panel + part, weights.inputs(),
                            rows.x + r * rows.x_stride, rows.x_stride, out, rows.y_stride,
                            first + part);
    }
  }
}

void MatMulPanels(const PackedMatrix& weights, const MatMulRows& rows, int64_t panel_begin,
                  int64_t panel_end) {
  for (int64_t p = panel_begin; p < panel_end; ++p) {
    const int64_t first = p * PackedMatrix::kPanelOutputs;
    if (weights.type() == WeightType::kFloat32) {
      Panel(weights.float32_panel(p), weights, first, rows);
    } else {
      Panel(weights.bfloat16_panel(p), weights, first, rows);
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
