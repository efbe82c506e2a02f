#include "model/metrics/lag.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/check.h"

namespace dragoman::model {
namespace {

double DifferentiableLagging(std::span<const double> delays, double source_length) {
  const auto words = static_cast<double>(delays.size());
  const double step = source_length / words;  // 1 / gamma
  double last = 0;
  double sum = 0;
  for (size_t i = 0; i < delays.size(); ++i) {
    last = i == 0 ? delays[0] : std::max(delays[i], last + step);
    sum += last - static_cast<double>(i) * step;
  }
  return sum / words;
}

double TargetLength(std::optional<int64_t> reference_words, size_t hypothesis_words) {
  if (!reference_words.has_value()) return static_cast<double>(hypothesis_words);
  return static_cast<double>(std::max<int64_t>(1, *reference_words));
}

}  // namespace

double AverageLagging(std::span<const double> delays, double source_length, double target_length) {
  DRAGOMAN_CHECK(!delays.empty());
  if (delays[0] > source_length || source_length <= 0) return delays[0];
  const double step = source_length / std::max(1.0, target_length);
  double sum = 0;
  size_t tau = 0;
  for (const double delay : delays) {
    sum += delay - static_cast<double>(tau) * step;
    ++tau;
    if (delay >= source_length) break;
  }
  return sum / static_cast<double>(tau);
}

std::optional<LagScores> ScoreLag(const LagSegment& segment) {
  if (segment.delays.empty()) return std::nullopt;
  const double source = segment.source_length;
  const auto hypothesis = static_cast<double>(segment.delays.size());
  const double reference = TargetLength(segment.reference_words, segment.delays.size());
  LagScores scores;
  scores.al = AverageLagging(segment.delays, source, reference);
  scores.laal = AverageLagging(segment.delays, source, std::max(reference, hypothesis));
  scores.gpe_al = AverageLagging(segment.delays, source + 1, hypothesis);
  if (source <= 0) {
    scores.ap = 1;
    scores.ap_ref = 1;
    scores.dal = segment.delays[0];
    return scores;
  }
  const double sum = std::accumulate(segment.delays.begin(), segment.delays.end(), 0.0);
  scores.ap = sum / (source * hypothesis);
  scores.ap_ref = sum / (source * reference);
  scores.dal = DifferentiableLagging(segment.delays, source);
  return scores;
}

LagCorpusScores ScoreLagCorpus(std::span<const LagSegment> segments) {
  LagCorpusScores result;
  for (const LagSegment& segment : segments) {
    const std::optional<LagScores> scores = ScoreLag(segment);
    if (!scores.has_value()) {
      ++result.skipped;
      continue;
    }
    ++result.scored;
    result.mean.al += scores->al;
    result.mean.laal += scores->laal;
    result.mean.ap += scores->ap;
    result.mean.ap_ref += scores->ap_ref;
    result.mean.dal += scores->dal;
    result.mean.gpe_al += scores->gpe_al;
  }
  if (result.scored == 0) return result;
  const auto count = static_cast<double>(result.scored);
  for (double* value : {&result.mean.al, &result.mean.laal, &result.mean.ap, &result.mean.ap_ref,
                        &result.mean.dal, &result.mean.gpe_al}) {
    *value /= count;
  }
  return result;
}

std::optional<double> ComputationAwareLaal(std::span<const double> emit_times,
                                           double source_duration,
                                           std::optional<int64_t> reference_words) {
  if (emit_times.empty()) return std::nullopt;
  const auto hypothesis = static_cast<double>(emit_times.size());
  return AverageLagging(emit_times, source_duration,
                        std::max(hypothesis, TargetLength(reference_words, emit_times.size())));
}

std::vector<double> EmissionLatencies(std::span<const double> emit_times,
                                      std::span<const double> delays,
                                      std::span<const double> arrival_times) {
  DRAGOMAN_CHECK(emit_times.size() == delays.size());
  std::vector<double> latencies;
  latencies.reserve(emit_times.size());
  for (size_t i = 0; i < emit_times.size(); ++i) {
    double allowed = 0;
    if (!arrival_times.empty() && delays[i] >= 1) {
      const auto word = static_cast<size_t>(delays[i]);
      allowed = arrival_times[std::min(word, arrival_times.size()) - 1];
    }
    latencies.push_back(emit_times[i] - allowed);
  }
  return latencies;
}

double Percentile(std::vector<double> values, double percent) {
  if (values.empty()) return 0;
  const double rank = std::ceil(percent / 100.0 * static_cast<double>(values.size()));
  const auto index =
      static_cast<ptrdiff_t>(std::clamp(rank - 1.0, 0.0, static_cast<double>(values.size() - 1)));
  std::nth_element(values.begin(), values.begin() + index, values.end());
  return values[static_cast<size_t>(index)];
}

}  // namespace dragoman::model
