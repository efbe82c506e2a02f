#include "model/kernels/attention.h"

#include <algorithm>
#include <limits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "model/kernels/attention.cc"
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
using Half = hwy::float16_t;

// Query heads that share one pass over keys or values; their sums have to fit the registers.
#if HWY_TARGET <= HWY_AVX3
constexpr int64_t kPassHeads = 4;
#else
constexpr int64_t kPassHeads = 2;
#endif
constexpr int64_t kValueVectors = 4;  // of a pass over values
// Pages of a stream lie apart, so that no machine guesses the next one: they are asked for as many
// pages ahead as it takes memory to answer.
constexpr size_t kPagesAhead = 2;

HWY_INLINE Vec LoadKvVector(Tag d, const float* from) { return hn::LoadU(d, from); }
HWY_INLINE Vec LoadKvVector(Tag d, const Half* from) {
  return hn::PromoteTo(d, hn::LoadU(hn::Rebind<Half, Tag>(), from));
}

// Asks for memory that a later page's turn will read, one line per call, into the second level.
template <typename T>
HWY_INLINE void PrefetchLine(const T* base, int64_t line) {
  __builtin_prefetch(reinterpret_cast<const uint8_t*>(base) + line * 64, 0, 2);
}

// Scores of kHeads queries against the 16 rows of a page; rows outside get minus infinity.
template <int64_t kHeads, typename T>
HWY_INLINE void PageScores(const float* HWY_RESTRICT queries, int64_t head_dim, const T* keys,
                           const T* later_keys, const KeyPage& page, float* HWY_RESTRICT scores,
                           int64_t scores_stride) {
  const Tag d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const Vec nothing = hn::Set(d, -std::numeric_limits<float>::infinity());
  constexpr int64_t kLineDims = 64 / (kKeyPageRows * static_cast<int64_t>(sizeof(T)));
  for (int64_t part = 0; part < kKeyPageRows; part += lanes) {
    Vec even[kHeads], odd[kHeads];
    for (int64_t g = 0; g < kHeads; ++g) even[g] = odd[g] = hn::Zero(d);
    int64_t i = 0;
    for (; i + 2 <= head_dim; i += 2) {
      if (part == 0) {
        for (int64_t line = i / kLineDims; line * kLineDims < i + 2; ++line) {
          PrefetchLine(later_keys, line);
        }
      }
      const Vec k0 = LoadKvVector(d, keys + i * kKeyPageRows + part);
      const Vec k1 = LoadKvVector(d, keys + (i + 1) * kKeyPageRows + part);
      for (int64_t g = 0; g < kHeads; ++g) {
        even[g] = hn::MulAdd(hn::Set(d, queries[g * head_dim + i]), k0, even[g]);
        odd[g] = hn::MulAdd(hn::Set(d, queries[g * head_dim + i + 1]), k1, odd[g]);
      }
    }
    if (i < head_dim) {
      const Vec k0 = LoadKvVector(d, keys + i * kKeyPageRows + part);
      for (int64_t g = 0; g < kHeads; ++g) {
        even[g] = hn::MulAdd(hn::Set(d, queries[g * head_dim + i]), k0, even[g]);
      }
    }
    const Vec row = hn::Iota(d, static_cast<float>(part));
    const auto seen = hn::And(hn::Ge(row, hn::Set(d, static_cast<float>(page.begin))),
                              hn::Lt(row, hn::Set(d, static_cast<float>(page.end))));
    for (int64_t g = 0; g < kHeads; ++g) {
      hn::StoreU(hn::IfThenElse(seen, hn::Add(even[g], odd[g]), nothing), d,
                 scores + g * scores_stride + part);
    }
  }
}

// Turns scores into weights that are not divided by their sum, which is returned.
HWY_INLINE float Exponentials(float* scores, int64_t size) {
  const Tag d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  Vec most = hn::LoadU(d, scores);
  for (int64_t i = lanes; i < size; i += lanes) most = hn::Max(most, hn::LoadU(d, scores + i));
  most = hn::MaxOfLanes(d, most);
  Vec sum = hn::Zero(d);
  for (int64_t i = 0; i < size; i += lanes) {
    const Vec weight = hn::Exp(d, hn::Sub(hn::LoadU(d, scores + i), most));
    hn::StoreU(weight, d, scores + i);
    sum = hn::Add(sum, weight);
  }
  return hn::GetLane(hn::SumOfLanes(d, sum));
}

// Adds the weighted values of one page to sums[kHeads], for kVectors vectors from the first on.
template <int64_t kHeads, int64_t kVectors, typename T>
HWY_INLINE void PageValues(const T* HWY_RESTRICT values, const T* later_values, const KeyPage& page,
                           const float* HWY_RESTRICT weights, int64_t weights_stride,
                           int64_t value_stride, float* HWY_RESTRICT sums) {
  const Tag d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  Vec acc[kHeads][kVectors];
  for (int64_t g = 0; g < kHeads; ++g) {
    for (int64_t v = 0; v < kVectors; ++v) {
      acc[g][v] = hn::LoadU(d, sums + g * value_stride + v * lanes);
    }
  }
  for (int32_t row = page.begin; row < page.end; ++row) {
    Vec value[kVectors];
    for (int64_t v = 0; v < kVectors; ++v) {
      value[v] = LoadKvVector(d, values + row * value_stride + v * lanes);
    }
    for (int64_t line = 0; line * 64 < kVectors * lanes * static_cast<int64_t>(sizeof(T)); ++line) {
      PrefetchLine(later_values + row * value_stride, line);
    }
    for (int64_t g = 0; g < kHeads; ++g) {
      const Vec weight = hn::Set(d, weights[g * weights_stride + row]);
      for (int64_t v = 0; v < kVectors; ++v) acc[g][v] = hn::MulAdd(weight, value[v], acc[g][v]);
    }
  }
  for (int64_t g = 0; g < kHeads; ++g) {
    for (int64_t v = 0; v < kVectors; ++v) {
      hn::StoreU(acc[g][v], d, sums + g * value_stride + v * lanes);
    }
  }
}

// kHeads query heads of every group from `first` on. Pages are the outer loop, because the heads of
// a page lie behind each other in memory.
template <int64_t kHeads, typename T>
void AttendHeads(const AttentionHeads& heads, int64_t first, std::span<const KeyPage> pages,
                 float* scratch) {
  const auto lanes = static_cast<int64_t>(hn::Lanes(Tag()));
  const auto size = static_cast<int64_t>(pages.size()) * kKeyPageRows;
  const int64_t key_size = heads.head_dim * kKeyPageRows;
  const int64_t value_size = heads.value_stride * kKeyPageRows;
  float* const scores = scratch;                                 // [kv_heads, kHeads, size]
  float* const sums = scratch + heads.kv_heads * kHeads * size;  // [.., .., value_stride]
  const auto later = [&](size_t p) { return std::min(p + kPagesAhead, pages.size() - 1); };
  for (size_t p = 0; p < pages.size(); ++p) {
    const T* const keys = reinterpret_cast<const T*>(pages[p].keys);
    const T* const later_keys = reinterpret_cast<const T*>(pages[later(p)].keys);
    for (int64_t h = 0; h < heads.kv_heads; ++h) {
      PageScores<kHeads, T>(
          heads.queries + (h * heads.group + first) * heads.head_dim, heads.head_dim,
          keys + h * key_size, later_keys + h * key_size, pages[p],
          scores + h * kHeads * size + static_cast<int64_t>(p) * kKeyPageRows, size);
    }
  }
  const int64_t count = heads.kv_heads * kHeads;
  // Totals take the place behind the sums.
  float* const totals = sums + count * heads.value_stride;
  for (int64_t i = 0; i < count; ++i) totals[i] = Exponentials(scores + i * size, size);
  std::fill(sums, sums + count * heads.value_stride, 0.0f);
  for (size_t p = 0; p < pages.size(); ++p) {
    const T* const values = reinterpret_cast<const T*>(pages[p].values);
    const T* const later_values = reinterpret_cast<const T*>(pages[later(p)].values);
    for (int64_t h = 0; h < heads.kv_heads; ++h) {
      const float* const weights =
          scores + h * kHeads * size + static_cast<int64_t>(p) * kKeyPageRows;
      float* const to = sums + h * kHeads * heads.value_stride;
      int64_t part = 0;
      for (; part + kValueVectors * lanes <= heads.value_stride; part += kValueVectors * lanes) {
        PageValues<kHeads, kValueVectors, T>(values + h * value_size + part,
                                             later_values + h * value_size + part, pages[p],
                                             weights, size, heads.value_stride, to + part);
      }
      for (; part < heads.value_stride; part += lanes) {
        PageValues<kHeads, 1, T>(values + h * value_size + part,
                                 later_values + h * value_size + part, pages[p], weights, size,
                                 heads.value_stride, to + part);
      }
    }
  }
  for (int64_t h = 0; h < heads.kv_heads; ++h) {
    for (int64_t g = 0; g < kHeads; ++g) {
      const int64_t i = h * kHeads + g;
      const float scale = 1.0f / totals[i];
      const float* const from = sums + i * heads.value_stride;
      float* const to = heads.out + (h * heads.group + first + g) * heads.head_dim;
      for (int64_t j = 0; j < heads.head_dim; ++j) to[j] = from[j] * scale;
    }
  }
}

template <typename T>
void AttentionOfType(const AttentionHeads& heads, std::span<const KeyPage> pages, float* scratch) {
  int64_t g = 0;
  if constexpr (kPassHeads > 2) {
    for (; g + 4 <= heads.group; g += 4) AttendHeads<4, T>(heads, g, pages, scratch);
    for (; g + 3 <= heads.group; g += 3) AttendHeads<3, T>(heads, g, pages, scratch);
  }
  for (; g + 2 <= heads.group; g += 2) AttendHeads<2, T>(heads, g, pages, scratch);
  for (; g < heads.group; ++g) AttendHeads<1, T>(heads, g, pages, scratch);
}

void AttentionOfHeads(const AttentionHeads& heads, std::span<const KeyPage> pages, float* scratch) {
  if (heads.type == KvType::kFloat16) return AttentionOfType<Half>(heads, pages, scratch);
  AttentionOfType<float>(heads, pages, scratch);
}

template <typename T>
void WeightsOfType(const AttentionHeads& heads, std::span<const KeyPage> pages, float* weights) {
  const auto size = static_cast<int64_t>(pages.size()) * kKeyPageRows;
  for (size_t p = 0; p < pages.size(); ++p) {
    const T* const keys = reinterpret_cast<const T*>(pages[p].keys);
    const T* const later_keys =
        reinterpret_cast<const T*>(pages[std::min(p + kPagesAhead, pages.size() - 1)].keys);
    PageScores<1, T>(heads.queries, heads.head_dim, keys, later_keys, pages[p],
                     weights + static_cast<int64_t>(p) * kKeyPageRows, size);
  }
  const float scale = 1.0f / Exponentials(weights, size);
  for (int64_t i = 0; i < size; ++i) weights[i] *= scale;
}

void WeightsOfHead(const AttentionHeads& heads, std::span<const KeyPage> pages, float* weights) {
  if (heads.type == KvType::kFloat16) return WeightsOfType<Half>(heads, pages, weights);
  WeightsOfType<float>(heads, pages, weights);
}

// One vector of floats at a time, so that halves round in one place.
void StoreHalves(const float* x, int64_t size, int64_t step, uint16_t* out) {
  const Tag d;
  const hn::Rebind<Half, Tag> dh;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  HWY_ALIGN float in[16] = {};
  HWY_ALIGN Half halves[16];
  const Vec most = hn::Set(d, 65504.0f);
  for (int64_t i = 0; i < size; i += lanes) {
    const int64_t count = std::min(lanes, size - i);
    std::copy(x + i, x + i + count, in);
    const Vec value = hn::Load(d, in);
    const Vec bounded = hn::Max(hn::Min(value, most), hn::Neg(most));
    // Minimum and maximum lose NaN.
    hn::Store(hn::DemoteTo(dh, hn::IfThenElse(hn::Eq(value, value), bounded, value)), dh, halves);
    const auto* bits = reinterpret_cast<const uint16_t*>(halves);
    for (int64_t j = 0; j < count; ++j) out[(i + j) * step] = bits[j];
  }
}

float LoadHalf(const uint16_t* from) {
  const Tag d;
  const hn::Rebind<Half, Tag> dh;
  HWY_ALIGN uint16_t bits[16] = {*from};
  return hn::GetLane(hn::PromoteTo(d, hn::Load(dh, reinterpret_cast<const Half*>(bits))));
}

}  // namespace HWY_NAMESPACE
}  // namespace dragoman::model
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace dragoman::model {

HWY_EXPORT(AttentionOfHeads);
HWY_EXPORT(WeightsOfHead);
HWY_EXPORT(StoreHalves);
HWY_EXPORT(LoadHalf);

int64_t AttentionScratch(int64_t kv_heads, int64_t group, int64_t pages, int64_t value_stride) {
  return kv_heads * std::min<int64_t>(group, 4) * (pages * kKeyPageRows + value_stride + 1);
}

void Attention(const AttentionHeads& heads, std::span<const KeyPage> pages, float* scratch) {
  HWY_DYNAMIC_DISPATCH(AttentionOfHeads)(heads, pages, scratch);
}

void AttentionWeights(const AttentionHeads& heads, std::span<const KeyPage> pages, float* weights) {
  HWY_DYNAMIC_DISPATCH(WeightsOfHead)(heads, pages, weights);
}

void StoreKv(KvType type, const float* x, int64_t size, int64_t step, void* out) {
  if (type == KvType::kFloat16) {
    HWY_DYNAMIC_DISPATCH(StoreHalves)(x, size, step, static_cast<uint16_t*>(out));
    return;
  }
  float* const floats = static_cast<float*>(out);
  for (int64_t i = 0; i < size; ++i) floats[i * step] = x[i];
}

float LoadKv(KvType type, const void* from, int64_t index) {
  if (type == KvType::kFloat32) return static_cast<const float*>(from)[index];
  return HWY_DYNAMIC_DISPATCH(LoadHalf)(static_cast<const uint16_t*>(from) + index);
}

}  // namespace dragoman::model
#endif
