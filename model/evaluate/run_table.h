// Decoded test sets of many training runs -> one table: mean over seeds, intervals, and paired
// bootstrap against a baseline (streaming.md sections 10, 11). Pure but for reading files.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/status.h"
#include "model/metrics/bootstrap.h"

namespace dragoman::model {

// One model decoded in one way.
struct DecodedRun {
  std::string target_language;
  std::string system;     // what was trained, such as "group" or "interleaved"
  std::string inference;  // how it was decoded
  std::string policy;     // "wait-k:3", "sentence"
  int64_t seed = 0;       // of the training
  std::vector<std::string> hypotheses, references;
  double al = 0, laal = 0;
  double rows_per_word = 0;  // rows that a cache is fed, both sides, per target word
};

// Reads what `dragoman-model reproduce` wrote. Errors: InvalidArgument with file and field.
absl::StatusOr<DecodedRun> ReadDecodedRun(const std::string& path);

// Runs that differ in their seeds alone.
struct RunTableRow {
  std::string target_language, policy, system, inference;
  std::vector<int64_t> seeds;
  size_t segments = 0;
  double bleu = 0, chrf2 = 0, al = 0, laal = 0, rows_per_word = 0;  // means over seeds
  double least_bleu = 0, greatest_bleu = 0;                         // of the seeds
  BootstrapInterval bleu_interval;  // of the mean: every resample is scored for each seed
  // Against the baseline of the same language and policy, over the seeds that both have.
  bool compared = false;
  double difference = 0;  // of mean BLEU
  double p_value = 1;
  size_t common_seeds = 0;
};

// Rows in the order of language, policy, first appearance. The baseline is system `baseline`
// decoded as `baseline`; without one for a language and policy nothing is compared there. Errors:
// InvalidArgument (a run twice; runs of one language over different references).
absl::StatusOr<std::vector<RunTableRow>> TabulateRuns(const std::vector<DecodedRun>& runs,
                                                      const std::string& baseline);

std::string RunTableMarkdown(const std::vector<RunTableRow>& rows, const std::string& baseline);

}  // namespace dragoman::model
