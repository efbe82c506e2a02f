#include "model/metrics/bootstrap.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/check.h"
#include "base/random.h"

namespace dragoman::model {
namespace {

template <typename Statistics, typename Score>
std::vector<double> ScoreResamples(std::span<const Statistics> segments,
                                   const ResampleIndices& indices, Score score) {
  DRAGOMAN_CHECK(segments.size() == indices.segments);
  std::vector<double> scores;
  scores.reserve(indices.resamples());
  for (size_t b = 0; b < indices.resamples(); ++b) {
    Statistics sum{};
    for (const uint32_t index : indices.row(b)) sum += segments[index];
    scores.push_back(score(sum));
  }
  return scores;
}

}  // namespace

ResampleIndices DrawResamples(size_t segments, size_t resamples, uint64_t seed) {
  ResampleIndices result;
  result.segments = segments;
  result.indices.reserve(segments * resamples);
  for (size_t b = 0; b < resamples && segments > 0; ++b) {
    RandomStream random(seed, "bootstrap", 0, b);
    for (size_t i = 0; i < segments; ++i) {
      result.indices.push_back(static_cast<uint32_t>(random.NextBelow(segments)));
    }
  }
  return result;
}

absl::StatusOr<ResampleIndices> MakeResamples(size_t segments, std::vector<uint32_t> indices) {
  if (segments == 0 || indices.size() % segments != 0) {
    return absl::InvalidArgumentError(
        absl::StrFormat("%d indices are not rows of %d segments", indices.size(), segments));
  }
  for (const uint32_t index : indices) {
    if (index >= segments) {
      return absl::InvalidArgumentError(
          absl::StrFormat("segment index %d, but there are %d segments", index, segments));
    }
  }
  ResampleIndices result;
  result.segments = segments;
  result.indices = std::move(indices);
  return result;
}

std::vector<double> ResampleBleu(std::span<const BleuStatistics> segments,
                                 const ResampleIndices& indices) {
  return ScoreResamples(segments, indices,
                        [](const BleuStatistics& sum) { return ScoreBleu(sum).score; });
}

std::vector<double> ResampleChrf(std::span<const ChrfStatistics> segments,
                                 const ResampleIndices& indices) {
  return ScoreResamples(segments, indices,
                        [](const ChrfStatistics& sum) { return ScoreChrf(sum); });
}

std::vector<double> ResampleMean(std::span<const double> segments, const ResampleIndices& indices) {
  const auto count = static_cast<double>(segments.size());
  return ScoreResamples(segments, indices, [count](double sum) { return sum / count; });
}

BootstrapInterval SummarizeResamples(std::vector<double> scores) {
  BootstrapInterval interval;
  if (scores.empty()) return interval;
  std::sort(scores.begin(), scores.end());
  interval.mean =
      std::accumulate(scores.begin(), scores.end(), 0.0) / static_cast<double>(scores.size());
  const size_t cut = scores.size() / 40;  // 2.5 % on each side
  interval.low = scores[cut];
  interval.high = scores[scores.size() - 1 - cut];
  return interval;
}

double PairedPValue(std::span<const double> baseline_resamples,
                    std::span<const double> system_resamples, double baseline, double system) {
  DRAGOMAN_CHECK(baseline_resamples.size() == system_resamples.size());
  std::vector<double> differences(baseline_resamples.size());
  for (size_t b = 0; b < differences.size(); ++b) {
    differences[b] = std::abs(system_resamples[b] - baseline_resamples[b]);
  }
  const auto count = static_cast<double>(differences.size());
  const double mean = differences.empty()
                          ? 0
                          : std::accumulate(differences.begin(), differences.end(), 0.0) / count;
  const double observed = std::abs(system - baseline);
  const auto extreme = std::count_if(differences.begin(), differences.end(),
                                     [&](double d) { return d - mean > observed; });
  return (static_cast<double>(extreme) + 1) / (count + 1);
}

}  // namespace dragoman::model
