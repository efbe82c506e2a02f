// Percentiles of word lags in constant memory: buckets grow by a factor, so a percentile is right
// within about 10 %. One thread only.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

namespace dragoman::server {

class LagHistogram {
 public:
  void Add(uint32_t milliseconds) {
    ++counts_[Bucket(milliseconds)];
    ++total_;
  }
  // Upper edge of the bucket that holds the given share of the values; 0 when there are none.
  uint32_t Percentile(double share) const {
    if (total_ == 0) return 0;
    const auto wanted = static_cast<uint64_t>(share * static_cast<double>(total_));
    uint64_t seen = 0;
    for (size_t i = 0; i < kBuckets; ++i) {
      seen += counts_[i];
      if (seen > wanted) return UpperEdge(i);
    }
    return UpperEdge(kBuckets - 1);
  }

 private:
  // Values below 8 have their own bucket; above, each power of two has eight.
  static constexpr size_t kBuckets = 8 + 29 * 8;
  static size_t Bucket(uint32_t value) {
    if (value < 8) return value;
    const int shift = static_cast<int>(std::bit_width(value)) - 4;  // value >> shift is in 8..15
    return 8 + static_cast<size_t>(shift) * 8 + ((value >> shift) - 8);
  }
  static uint32_t UpperEdge(size_t bucket) {
    if (bucket < 8) return static_cast<uint32_t>(bucket);
    const size_t shift = (bucket - 8) / 8;
    const uint64_t edge = ((uint64_t{bucket - 8} % 8 + 9) << shift) - 1;
    return static_cast<uint32_t>(edge);
  }

  std::array<uint32_t, kBuckets> counts_{};
  uint64_t total_ = 0;
};

}  // namespace dragoman::server
