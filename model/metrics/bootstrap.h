// Bootstrap over segments (Efron 1979; Koehn 2004 for the paired test): how much of a score, or of
// the difference of two systems, is chance. Works on sufficient statistics per segment, so one
// resample is a sum. All metrics of a report use the same indices. Pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/status.h"
#include "model/metrics/bleu.h"
#include "model/metrics/chrf.h"

namespace dragoman::model {

inline constexpr size_t kBootstrapResamples = 1000;
inline constexpr uint64_t kBootstrapSeed = 12345;

// Segment indices of every resample.
struct ResampleIndices {
  size_t segments = 0;
  std::vector<uint32_t> indices;  // [resamples, segments]

  size_t resamples() const { return segments == 0 ? 0 : indices.size() / segments; }
  std::span<const uint32_t> row(size_t resample) const {
    return std::span<const uint32_t>(indices).subspan(resample * segments, segments);
  }
};

// The same seed gives the same indices everywhere. (Not those of numpy: to repeat the figures of
// another tool, feed its indices through MakeResamples.)
ResampleIndices DrawResamples(size_t segments, size_t resamples = kBootstrapResamples,
                              uint64_t seed = kBootstrapSeed);
// Errors: InvalidArgument (size is no multiple of `segments`, an index out of range).
absl::StatusOr<ResampleIndices> MakeResamples(size_t segments, std::vector<uint32_t> indices);

// Score of every resample. `segments` has as many entries as the indices were made for.
std::vector<double> ResampleBleu(std::span<const BleuStatistics> segments,
                                 const ResampleIndices& indices);
std::vector<double> ResampleChrf(std::span<const ChrfStatistics> segments,
                                 const ResampleIndices& indices);
// For metrics that are means over segments, such as AL.
std::vector<double> ResampleMean(std::span<const double> segments, const ResampleIndices& indices);

// Percentile interval that holds 95 % of the resamples: of 1000, the sorted values 25 and 974.
struct BootstrapInterval {
  double mean = 0;
  double low = 0;
  double high = 0;
  double half_width() const { return (high - low) / 2; }
};
// Zeros for no resamples.
BootstrapInterval SummarizeResamples(std::vector<double> scores);

// Probability that a difference as large as |system - baseline| comes from chance alone:
// (count(|d_b| - mean |d_b| > |d|) + 1) / (resamples + 1), d_b the difference in resample b.
// Both lists are of the same resamples.
double PairedPValue(std::span<const double> baseline_resamples,
                    std::span<const double> system_resamples, double baseline, double system);

}  // namespace dragoman::model
