// How far a translation trails its source (streaming.md section 11): AL (Ma et al. 2019), LAAL
// (Polák et al. 2022, Papi et al. 2022), AP (Cho and Esipova 2016), DAL (Cherry and Foster 2019),
// as SimulEval computes them. Pure functions.
//
// A delay d_i is the number of source words (or any other unit of length, such as seconds) that had
// been read when target word i was closed; marker and end token are no words.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace dragoman::model {

// One segment.
struct LagSegment {
  double source_length = 0;                // X: source words, or the unit of the delays
  std::optional<int64_t> reference_words;  // Y; absent: the hypothesis length stands in
  std::vector<double> delays;              // one per hypothesis word
};

struct LagScores {
  double al = 0;
  double laal = 0;
  double ap = 0;      // over X * hypothesis words
  double ap_ref = 0;  // over X * reference words, SimulEval's default
  double dal = 0;
  double gpe_al = 0;  // X counts the marker, Y is the hypothesis length; for comparison only
};

// 1/tau sum_{i=1..tau} (d_i - (i-1) X / Y), tau = first i with d_i >= X, else the last; d_1 when
// that is greater than X. This is AL for Y = reference length, LAAL for the greater of reference
// and hypothesis length. A target length below 1 counts as 1; with X = 0 the result is d_1.
// `delays` is not empty.
double AverageLagging(std::span<const double> delays, double source_length, double target_length);

// Nothing when there is no delay: the segment is skipped. An empty source (X = 0) cannot be waited
// for: AP and AP_ref are 1, the lags are d_1. An empty reference counts as one word.
std::optional<LagScores> ScoreLag(const LagSegment& segment);

struct LagCorpusScores {
  LagScores mean;  // over the scored segments; zeros when there is none
  size_t scored = 0;
  size_t skipped = 0;  // no hypothesis words
};
LagCorpusScores ScoreLagCorpus(std::span<const LagSegment> segments);

// Computation-aware LAAL in the unit of time of its arguments: `emit_times` of the target words
// since the start of the segment, with queueing and compute; `source_duration` from that start to
// the arrival of the last source word. Nothing without emit times.
std::optional<double> ComputationAwareLaal(std::span<const double> emit_times,
                                           double source_duration,
                                           std::optional<int64_t> reference_words);

// Wall time between the arrival of the source word that allowed a target word and its emission.
//   emit_times, delays: [target words]; delays are whole source words, 0 stands for the start
//   arrival_times: [source words], non-decreasing, same clock
// Delays beyond the source count as its last word.
std::vector<double> EmissionLatencies(std::span<const double> emit_times,
                                      std::span<const double> delays,
                                      std::span<const double> arrival_times);

// Nearest-rank percentile, 0 < percent <= 100; 0 for no values.
double Percentile(std::vector<double> values, double percent);

}  // namespace dragoman::model
