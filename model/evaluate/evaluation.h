// Quality and lag of a set of translated lines (streaming.md section 11). Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/status.h"
#include "model/evaluate/corpus_translation.h"
#include "model/metrics/bootstrap.h"

namespace dragoman::model {

struct TextScores {
  double bleu = 0;
  double chrf2 = 0;
  BootstrapInterval bleu_interval, chrf2_interval;
  size_t segments = 0;
};
// `bootstrap` false leaves the intervals zero. Errors: InvalidArgument (line counts differ, none).
absl::StatusOr<TextScores> ScoreText(const std::vector<std::string>& hypotheses,
                                     const std::vector<std::string>& references, bool bootstrap);

// Lag with queueing and compute, of lines that TranslatePaced() made.
struct PacedLag {
  double laal_ca = 0;                // seconds, mean over the lines with a translation
  double p50 = 0, p95 = 0, p99 = 0;  // seconds from the READ that allowed a word to the word
};

struct EvaluationReport {
  std::string model, source_language, target_language, policy;
  TextScores text;
  double repetition = 0, reference_repetition = 0;  // RepetitionRate() of 4-grams
  double al = 0, laal = 0, ap = 0, ap_ref = 0, dal = 0, gpe_al = 0;
  std::optional<PacedLag> paced;
  double seconds_per_word = 0;  // of `paced`; set by who asked for it
  size_t speakers = 0;
  size_t lag_scored = 0, lag_skipped = 0;
  int64_t source_words = 0, source_tokens = 0, target_words = 0, target_tokens = 0;
  int64_t decode_rows = 0, probe_rows = 0, eos_waits = 0, guards = 0, failed_lines = 0;
  int64_t modules_skipped = 0;
  double seconds = 0;
};
absl::StatusOr<EvaluationReport> Evaluate(const std::vector<TranslatedLine>& lines,
                                          const std::vector<std::string>& references,
                                          bool bootstrap);
// Fields bleu, chrf2, al, laal, ap, segments and the rest; intervals as [low, high].
Json ToJson(const TextScores& scores);
Json ToJson(const EvaluationReport& report);

}  // namespace dragoman::model
