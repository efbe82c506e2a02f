#include "model/kernels/quantized_rows.h"

#include <algorithm>
#include <cmath>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "model/kernels/quantized_rows.cc"
#include "hwy/foreach_target.h"
// Must come after foreach_target.h.
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace dragoman::model {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Tag = hn::CappedTag<float, 16>;
using Vec = hn::Vec<Tag>;

// A whole group: a multiple of 16 entries.
HWY_INLINE void QuantizeGroup(const float* HWY_RESTRICT x, int64_t group,
                              int8_t* HWY_RESTRICT values, float* scale, int32_t* sum) {
  const Tag d;
  const hn::RebindToSigned<Tag> di;
  const hn::Rebind<int8_t, Tag> d8;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  Vec most = hn::Zero(d), strange = hn::Zero(d);
  for (int64_t i = 0; i < group; i += lanes) {
    const Vec value = hn::LoadU(d, x + i);
    most = hn::Max(most, hn::Abs(value));
    strange = hn::MulAdd(value, hn::Zero(d), strange);  // NaN where an entry is not finite
  }
  const float largest = hn::GetLane(hn::MaxOfLanes(d, most));
  *scale = largest / 127.0f + hn::GetLane(hn::SumOfLanes(d, strange));
  const Vec inverse = hn::Set(d, largest > 0 ? 127.0f / largest : 0.0f);
  auto total = hn::Zero(di);
  for (int64_t i = 0; i < group; i += lanes) {
    const auto whole = hn::NearestInt(hn::Mul(hn::LoadU(d, x + i), inverse));
    total = hn::Add(total, whole);
    hn::StoreU(hn::DemoteTo(d8, whole), d8, values + i);
  }
  *sum = hn::GetLane(hn::SumOfLanes(di, total));
}

void QuantizeGroups(const float* x, int64_t inputs, int64_t group, int8_t* values, float* scales,
                    int32_t* sums) {
  int64_t g = 0;
  for (; (g + 1) * group <= inputs; ++g) {
    QuantizeGroup(x + g * group, group, values + g * group, scales + g, sums + g);
  }
  if (g * group < inputs) {
    float rest[64] = {};
    std::copy(x + g * group, x + inputs, rest);
    QuantizeGroup(rest, group, values + g * group, scales + g, sums + g);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace dragoman::model
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace dragoman::model {

HWY_EXPORT(QuantizeGroups);

void QuantizeRow(const float* x, int64_t inputs, int64_t group, int8_t* values, float* scales,
                 int32_t* sums) {
  HWY_DYNAMIC_DISPATCH(QuantizeGroups)(x, inputs, group, values, scales, sums);
}

void QuantizeRowReference(const float* x, int64_t inputs, int64_t group, int8_t* values,
                          float* scales, int32_t* sums) {
  for (int64_t begin = 0; begin < inputs; begin += group) {
    float most = 0;
    for (int64_t i = begin; i < std::min(inputs, begin + group); ++i) {
      most = std::max(most, std::fabs(x[i]));
    }
    *scales++ = most / 127.0f;  // of finite entries
    int32_t sum = 0;
    for (int64_t i = begin; i < begin + group; ++i) {
      const float exact = i < inputs && most > 0 ? x[i] * (127.0f / most) : 0.0f;
      values[i] = static_cast<int8_t>(std::lrint(exact));
      sum += values[i];
    }
    *sums++ = sum;
  }
}

void QuantizedBuffer::Resize(int64_t rows, int64_t inputs, int64_t group) {
  inputs_ = inputs;
  group_ = group;
  groups_ = (inputs + group - 1) / group;
  const auto need = static_cast<size_t>(rows * groups_);
  if (scales_.size() < need) {
    scales_.resize(need);
    sums_.resize(need);
  }
  if (values_.size() < need * static_cast<size_t>(group)) {
    values_.resize(need * static_cast<size_t>(group));
  }
}

void QuantizedBuffer::Fill(int64_t row, const float* x) {
  QuantizeRow(x, inputs_, group_, values_.data() + row * groups_ * group_,
              scales_.data() + row * groups_, sums_.data() + row * groups_);
}

void QuantizedBuffer::CopyRow(int64_t row, const QuantizedBuffer& from, int64_t from_row) {
  const int64_t width = groups_ * group_;
  std::copy_n(from.values_.data() + from_row * width, width, values_.data() + row * width);
  std::copy_n(from.scales_.data() + from_row * groups_, groups_, scales_.data() + row * groups_);
  std::copy_n(from.sums_.data() + from_row * groups_, groups_, sums_.data() + row * groups_);
}

}  // namespace dragoman::model
#endif
