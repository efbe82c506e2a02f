#include "model/kernels/quantized_matmul.h"

#include <algorithm>
#include <cstring>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "model/kernels/quantized_matmul.cc"
#include "hwy/foreach_target.h"
// Must come after foreach_target.h.
#include "hwy/highway.h"
#include "model/kernels/store_outputs-inl.h"

HWY_BEFORE_NAMESPACE();
namespace dragoman::model {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

#undef DRAGOMAN_FLAT  // the file is included once per instruction set
// Loops over the rows of a tile have to be laid out flat for the sums to stay in registers.
#define DRAGOMAN_FLAT _Pragma("GCC unroll 8")

constexpr int64_t kStepBytes = 4 * PackedMatrix::kPanelOutputs;  // 4 inputs of a panel in int8

// A way of multiplying: vectors of whole numbers with one lane per output, and
//   Wide (int8), Narrow (int4): sums[i] += sum_j w[4 i + j] x[j], j = 0..3,
// where w is the stored unsigned weight, except that Wide may take off its offset of 128 by itself.

// Any machine: the four bytes of a lane apart.
struct PlainDot {
  using Whole = hn::CappedTag<int32_t, 16>;
  static constexpr int64_t kTileRows = 1;
  static constexpr bool kWideTakesOffset = false;
  static HWY_INLINE hn::Vec<Whole> Wide(hn::Vec<Whole> sums, hn::Vec<Whole> weights, int32_t x) {
    const Whole d;
    const hn::RebindToUnsigned<Whole> du;
    const auto bytes = hn::BitCast(du, weights);
    const auto low = hn::Set(du, 0xFF);
    const auto entry = [x](int shift) {
      return hn::Set(Whole(), static_cast<int8_t>(static_cast<uint32_t>(x) >> shift));
    };
    const auto w0 = hn::BitCast(d, hn::And(bytes, low));
    const auto w1 = hn::BitCast(d, hn::And(hn::ShiftRight<8>(bytes), low));
    const auto w2 = hn::BitCast(d, hn::And(hn::ShiftRight<16>(bytes), low));
    const auto w3 = hn::BitCast(d, hn::ShiftRight<24>(bytes));
    const auto first = hn::Add(hn::Mul(w0, entry(0)), hn::Mul(w1, entry(8)));
    const auto second = hn::Add(hn::Mul(w2, entry(16)), hn::Mul(w3, entry(24)));
    return hn::Add(sums, hn::Add(first, second));
  }
  static HWY_INLINE hn::Vec<Whole> Narrow(hn::Vec<Whole> sums, hn::Vec<Whole> weights, int32_t x) {
    return Wide(sums, weights, x);
  }
};

#if HWY_TARGET == HWY_AVX2
// Products of pairs are summed in 16 bits, which saturates for unsigned 255 times 127 twice. So
// wide weights lose their offset, which leaves at most 127, and x gives its sign to them.
struct PairDot {
  using Whole = hn::CappedTag<int32_t, 8>;
  static constexpr int64_t kTileRows = 2;
  static constexpr bool kWideTakesOffset = true;
  static HWY_INLINE hn::Vec<Whole> Wide(hn::Vec<Whole> sums, hn::Vec<Whole> weights, int32_t x) {
    const __m256i value = _mm256_set1_epi32(x);
    const __m256i w = _mm256_xor_si256(weights.raw, _mm256_set1_epi8(-128));
    return Add(sums, _mm256_maddubs_epi16(_mm256_abs_epi8(value), _mm256_sign_epi8(w, value)));
  }
  static HWY_INLINE hn::Vec<Whole> Narrow(hn::Vec<Whole> sums, hn::Vec<Whole> weights, int32_t x) {
    return Add(sums, _mm256_maddubs_epi16(weights.raw, _mm256_set1_epi32(x)));
  }

 private:
  static HWY_INLINE hn::Vec<Whole> Add(hn::Vec<Whole> sums, __m256i pairs) {
    const __m256i quads = _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
    return hn::Vec<Whole>{_mm256_add_epi32(sums.raw, quads)};
  }
};
#endif

#if HWY_TARGET <= HWY_AVX3
// One instruction (AVX-512 VNNI), which Highway 1.0 does not know.
struct VnniDot {
  using Whole = hn::CappedTag<int32_t, 16>;
  static constexpr int64_t kTileRows = 6;
  static constexpr bool kWideTakesOffset = false;
  static HWY_INLINE hn::Vec<Whole> Wide(hn::Vec<Whole> sums, hn::Vec<Whole> weights, int32_t x) {
    asm("vpdpbusd %2, %1, %0" : "+v"(sums.raw) : "v"(weights.raw), "v"(_mm512_set1_epi32(x)));
    return sums;
  }
  static HWY_INLINE hn::Vec<Whole> Narrow(hn::Vec<Whole> sums, hn::Vec<Whole> weights, int32_t x) {
    return Wide(sums, weights, x);
  }
};
#endif

HWY_INLINE int32_t FourInputs(const int8_t* x) {
  int32_t four = 0;
  std::memcpy(&four, x, sizeof(four));
  return four;
}

template <class Dot>
using Whole = hn::Vec<typename Dot::Whole>;

// One row waits for memory: its weights are fetched ahead, into the second level. More rows
// compute, and fetching by instruction only costs them slots.
constexpr int64_t kAhead = 1024;  // bytes
template <class Dot, int64_t kRows>
HWY_INLINE void FetchAhead(const uint8_t* weights) {
  if constexpr (kRows == 1) {
    __builtin_prefetch(weights + kAhead, 0, 2);
    if constexpr (sizeof(Whole<Dot>) > 32) __builtin_prefetch(weights + kAhead + 64, 0, 2);
  }
}

// Adds the products of one block to sums[row][vector]; `weights` points to two vectors of outputs
// of the first step. One row alone has two chains of sums, since one would wait for itself.
template <class Dot, WeightType kType, int64_t kRows>
HWY_INLINE void BlockDots(const uint8_t* HWY_RESTRICT weights, const int8_t* HWY_RESTRICT x,
                          int64_t x_stride, Whole<Dot> (&sums)[kRows][2]) {
  const typename Dot::Whole d;
  const auto bytes = static_cast<int64_t>(4 * hn::Lanes(d));
  const auto load = [d](const uint8_t* from) {
    return hn::LoadU(d, reinterpret_cast<const int32_t*>(from));
  };
  Whole<Dot> odd[2] = {hn::Zero(d), hn::Zero(d)};
  if constexpr (kType == WeightType::kInt8) {
    for (int64_t step = 0; step < QuantGroup(kType) / 4; ++step, weights += kStepBytes) {
      FetchAhead<Dot, kRows>(weights);
      const auto w0 = load(weights);
      const auto w1 = load(weights + bytes);
      DRAGOMAN_FLAT
      for (int64_t r = 0; r < kRows; ++r) {
        const int32_t four = FourInputs(x + r * x_stride + 4 * step);
        Whole<Dot>& s0 = kRows == 1 && step % 2 == 1 ? odd[0] : sums[r][0];
        Whole<Dot>& s1 = kRows == 1 && step % 2 == 1 ? odd[1] : sums[r][1];
        s0 = Dot::Wide(s0, w0, four);
        s1 = Dot::Wide(s1, w1, four);
      }
    }
  } else {
    const auto low = hn::Set(d, 0x0F0F0F0F);
    for (int64_t step = 0; step < QuantGroup(kType) / 4; step += 2, weights += kStepBytes) {
      FetchAhead<Dot, kRows>(weights);
      const auto both0 = load(weights), both1 = load(weights + bytes);
      const auto even0 = hn::And(both0, low), even1 = hn::And(both1, low);
      const auto odd0 = hn::And(hn::ShiftRight<4>(both0), low);
      const auto odd1 = hn::And(hn::ShiftRight<4>(both1), low);
      DRAGOMAN_FLAT
      for (int64_t r = 0; r < kRows; ++r) {
        const int8_t* at = x + r * x_stride + 4 * step;
        sums[r][0] = Dot::Narrow(sums[r][0], even0, FourInputs(at));
        sums[r][1] = Dot::Narrow(sums[r][1], even1, FourInputs(at));
        Whole<Dot>& s0 = kRows == 1 ? odd[0] : sums[r][0];
        Whole<Dot>& s1 = kRows == 1 ? odd[1] : sums[r][1];
        s0 = Dot::Narrow(s0, odd0, FourInputs(at + 4));
        s1 = Dot::Narrow(s1, odd1, FourInputs(at + 4));
      }
    }
  }
  if constexpr (kRows == 1) {
    sums[0][0] = hn::Add(sums[0][0], odd[0]);
    sums[0][1] = hn::Add(sums[0][1], odd[1]);
  }
}

// kRows rows times two vectors of outputs: those `part` bytes into a step of the panel.
template <class Dot, WeightType kType, int64_t kRows>
HWY_INLINE void Tile(const uint8_t* HWY_RESTRICT panel, int64_t block_bytes, int64_t part,
                     const QuantizedRows& x, const OutputRow& out, int64_t y_stride,
                     int64_t first) {
  constexpr int64_t kGroup = QuantGroup(kType);
  constexpr int32_t kOffset = kType == WeightType::kInt4 ? 8 : (Dot::kWideTakesOffset ? 0 : 128);
  using D = typename Dot::Whole;
  const D d;
  const hn::RebindToFloat<D> df;
  const hn::RebindToUnsigned<D> du;
  const hn::Rebind<uint16_t, D> d16;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  hn::Vec<decltype(df)> y[kRows][2];
  DRAGOMAN_FLAT
  for (int64_t r = 0; r < kRows; ++r) y[r][0] = y[r][1] = hn::Zero(df);
  for (int64_t g = 0; g < x.groups; ++g, panel += block_bytes) {
    Whole<Dot> sums[kRows][2];
    DRAGOMAN_FLAT
    for (int64_t r = 0; r < kRows; ++r) {
      sums[r][0] = sums[r][1] = hn::Set(d, -kOffset * x.sums[r * x.groups + g]);
    }
    BlockDots<Dot, kType, kRows>(panel + part, x.values + g * kGroup, x.groups * kGroup, sums);
    const auto* scales =
        reinterpret_cast<const uint16_t*>(panel + block_bytes - 2 * PackedMatrix::kPanelOutputs) +
        part / 4;
    const auto scale = [&](const uint16_t* from) {
      return hn::BitCast(df, hn::ShiftLeft<16>(hn::PromoteTo(du, hn::LoadU(d16, from))));
    };
    const auto scale0 = scale(scales), scale1 = scale(scales + lanes);
    DRAGOMAN_FLAT
    for (int64_t r = 0; r < kRows; ++r) {
      const auto row_scale = hn::Set(df, x.scales[r * x.groups + g]);
      y[r][0] = hn::MulAdd(hn::ConvertTo(df, sums[r][0]), hn::Mul(scale0, row_scale), y[r][0]);
      y[r][1] = hn::MulAdd(hn::ConvertTo(df, sums[r][1]), hn::Mul(scale1, row_scale), y[r][1]);
    }
  }
  DRAGOMAN_FLAT
  for (int64_t r = 0; r < kRows; ++r) {
    OutputRow row = out;
    row.y += r * y_stride;
    StoreOutputs(df, y[r][0], first, row);
    StoreOutputs(df, y[r][1], first + lanes, row);
  }
}

// Tile<rows> for a number of rows that is known when it runs.
template <class Dot, WeightType kType, int64_t kRows, typename... Arguments>
HWY_INLINE void TileOfRows(int64_t rows, const Arguments&... arguments) {
  if constexpr (kRows > 1) {
    if (rows < kRows) return TileOfRows<Dot, kType, kRows - 1>(rows, arguments...);
  }
  Tile<Dot, kType, kRows>(arguments...);
}

template <class Dot, WeightType kType>
void Panels(const PackedMatrix& weights, const QuantizedMatMulRows& rows, int64_t panel_begin,
            int64_t panel_end) {
  const auto lanes = static_cast<int64_t>(hn::Lanes(typename Dot::Whole()));
  for (int64_t p = panel_begin; p < panel_end; ++p) {
    const int64_t first = p * PackedMatrix::kPanelOutputs;
    // The first tile of a panel waits for memory and should be a high one.
    for (int64_t r = 0; r < rows.rows; r += Dot::kTileRows) {
      const OutputRow out{rows.y + r * rows.y_stride, rows.bias, rows.accumulate,
                          weights.outputs()};
      for (int64_t o = 0; o < PackedMatrix::kPanelOutputs; o += 2 * lanes) {
        TileOfRows<Dot, kType, Dot::kTileRows>(rows.rows - r, weights.panel(p),
                                               weights.block_bytes(), 4 * o, rows.x.From(r), out,
                                               rows.y_stride, first + o);
      }
    }
  }
}

template <class Dot>
void PanelsOf(const PackedMatrix& weights, const QuantizedMatMulRows& rows, int64_t panel_begin,
              int64_t panel_end) {
  if (weights.type() == WeightType::kInt8) {
    Panels<Dot, WeightType::kInt8>(weights, rows, panel_begin, panel_end);
  } else {
    Panels<Dot, WeightType::kInt4>(weights, rows, panel_begin, panel_end);
  }
}

#if HWY_TARGET <= HWY_AVX3
bool HasVnni() {
  static const bool has = __builtin_cpu_supports("avx512vnni") != 0;
  return has;
}
#endif

void QuantizedPanels(const PackedMatrix& weights, const QuantizedMatMulRows& rows,
                     int64_t panel_begin, int64_t panel_end) {
#if HWY_TARGET <= HWY_AVX3
  if (HasVnni()) return PanelsOf<VnniDot>(weights, rows, panel_begin, panel_end);
#endif
#if HWY_TARGET == HWY_AVX2
  return PanelsOf<PairDot>(weights, rows, panel_begin, panel_end);
#else
  return PanelsOf<PlainDot>(weights, rows, panel_begin, panel_end);
#endif
}

const char* DotName() {
#if HWY_TARGET <= HWY_AVX3
  if (HasVnni()) return "vnni";
#endif
  return HWY_TARGET == HWY_AVX2 ? "maddubs" : "plain";
}

}  // namespace HWY_NAMESPACE
}  // namespace dragoman::model
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace dragoman::model {

HWY_EXPORT(QuantizedPanels);
HWY_EXPORT(DotName);

void QuantizedMatMul(const PackedMatrix& weights, const QuantizedMatMulRows& rows,
                     int64_t panel_begin, int64_t panel_end) {
  HWY_DYNAMIC_DISPATCH(QuantizedPanels)(weights, rows, panel_begin, panel_end);
}

const char* QuantizedKernelName() { return HWY_DYNAMIC_DISPATCH(DotName)(); }

}  // namespace dragoman::model
#endif
