// Corpus chrF2 (Popović 2015): character n-grams of orders 1 to 6, recall weighted twice, white
// space ignored, no word n-grams, one reference per segment, as sacreBLEU 2.x computes it. Differs
// from the paper in that only orders which both sides have are averaged. Scores are 0 to 100. Pure
// functions.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/status.h"

namespace dragoman::model {

inline constexpr size_t kChrfOrders = 6;
inline constexpr std::string_view kChrfSignature = "nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no";

// Sufficient statistics of any set of segments: they add up.
struct ChrfStatistics {
  struct Order {
    int64_t hypothesis = 0;  // n-grams; only of segments whose reference has this order
    int64_t reference = 0;
    int64_t matches = 0;  // clipped
  };
  std::array<Order, kChrfOrders> orders{};

  ChrfStatistics& operator+=(const ChrfStatistics& other);
};

ChrfStatistics CollectChrf(std::string_view hypothesis, std::string_view reference);
double ScoreChrf(const ChrfStatistics& statistics);
// Errors: InvalidArgument when the two have different numbers of lines.
absl::StatusOr<double> CorpusChrf(std::span<const std::string> hypotheses,
                                  std::span<const std::string> references);

}  // namespace dragoman::model
