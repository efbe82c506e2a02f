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

// Scores of kGroup queries against the 16 rows of a page; rows outside get minus infinity.
template <int64_t kGroup>
HWY_INLINE void PageScores(const float* HWY_RESTRICT queries, int64_t head_dim, const KeyPage& page,
                           float* HWY_RESTRICT scores, int64_t scores_stride) {
  const Tag d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const Vec nothing = hn::Set(d, -std::numeric_limits<float>::infinity());
  for (int64_t part = 0; part < kKeyPageRows; part += lanes) {
    Vec even[kGroup], odd[kGroup];
    for (int64_t g = 0; g < kGroup; ++g) even[g] = odd[g] = hn::Zero(d);
    int64_t i = 0;
    for (; i + 2 <= head_dim; i += 2) {
      const Vec k0 = hn::LoadU(d, page.keys + i * kKeyPageRows + part);
      const Vec k1 = hn::LoadU(d, page.keys + (i + 1) * kKeyPageRows + part);
      for (int64_t g = 0; g < kGroup; ++g) {
        even[g] = hn::MulAdd(hn::Set(d, queries[g * head_dim + i]), k0, even[g]);
        odd[g] = hn::MulAdd(hn::Set(d, queries[g * head_dim + i + 1]), k1, odd[g]);
      }
    }
    if (i < head_dim) {
      const Vec k0 = hn::LoadU(d, page.keys + i * kKeyPageRows + part);
      for (int64_t g = 0; g < kGroup; ++g) {
        even[g] = hn::MulAdd(hn::Set(d, queries[g * head_dim + i]), k0, even[g]);
      }
    }
    const Vec row = hn::Iota(d, static_cast<float>(part));
    const auto seen = hn::And(hn::Ge(row, hn::Set(d, static_cast<float>(page.begin))),
                              hn::Lt(row, hn::Set(d, static_cast<float>(page.end))));
    for (int64_t g = 0; g < kGroup; ++g) {
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

void AttentionOfHead(const AttentionHead& head, std::span<const KeyPage> pages, float* scratch) {
  const Tag d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const auto size = static_cast<int64_t>(pages.size()) * kKeyPageRows;
  float* const scores = scratch;                    // [group, size]
  float* const sums = scratch + head.group * size;  // [value_stride]
  for (int64_t p = 0; p < static_cast<int64_t>(pages.size()); ++p) {
    for (int64_t g = 0; g < head.group;) {
      float* out = scores + g * size + p * kKeyPageRows;
      const float* queries = head.queries + g * head.head_dim;
      if (g + 4 <= head.group) {
        PageScores<4>(queries, head.head_dim, pages[p], out, size);
        g += 4;
      } else if (g + 2 <= head.group) {
        PageScores<2>(queries, head.head_dim, pages[p], out, size);
        g += 2;
      } else {
        PageScores<1>(queries, head.head_dim, pages[p], out, size);
        g += 1;
      }
    }
  }
  for (int64_t g = 0; g < head.group; ++g) {
    float* weights = scores + g * size;
    const float total = Exponentials(weights, size);
    for (int64_t part = 0; part < head.value_stride; part += 4 * lanes) {
      const int64_t width = std::min(4 * lanes, head.value_stride - part);
      Vec acc[4] = {hn::Zero(d), hn::Zero(d), hn::Zero(d), hn::Zero(d)};
      for (size_t p = 0; p < pages.size(); ++p) {
        for (int32_t row = pages[p].begin; row < pages[p].end; ++row) {
          const Vec weight = hn::Set(d, weights[p * kKeyPageRows + row]);
          const float* values = pages[p].values + row * head.value_stride + part;
          for (int64_t v = 0; v * lanes < width; ++v) {
            acc[v] = hn::MulAdd(weight, hn::LoadU(d, values + v * lanes), acc[v]);
          }
        }
      }
      const Vec scale = hn::Set(d, 1.0f / total);
      for (int64_t v = 0; v * lanes < width; ++v) {
        hn::StoreU(hn::Mul(acc[v], scale), d, sums + part + v * lanes);
      }
    }
    std::copy(sums, sums + head.head_dim, head.out + g * head.head_dim);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace dragoman::model
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace dragoman::model {

HWY_EXPORT(AttentionOfHead);

int64_t AttentionScratch(int64_t group, int64_t pages, int64_t value_stride) {
  return group * pages * kKeyPageRows + value_stride;
}

void Attention(const AttentionHead& head, std::span<const KeyPage> pages, float* scratch) {
  HWY_DYNAMIC_DISPATCH(AttentionOfHead)(head, pages, scratch);
}

}  // namespace dragoman::model
#endif
