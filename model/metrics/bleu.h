// Corpus BLEU (Papineni et al. 2002) with one reference per segment, as sacreBLEU 2.x computes it
// with its default options (streaming.md section 11): 13a tokens, exponential smoothing, case kept.
// Scores are 0 to 100. Pure functions.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace dragoman::model {

inline constexpr size_t kBleuOrders = 4;
inline constexpr std::string_view kBleuSignature = "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp";

// Sufficient statistics of any set of segments: they add up.
struct BleuStatistics {
  std::array<int64_t, kBleuOrders> matches{};  // clipped n-gram matches, n = 1..4
  std::array<int64_t, kBleuOrders> totals{};   // n-grams of the hypothesis
  int64_t hypothesis_tokens = 0;
  int64_t reference_tokens = 0;

  BleuStatistics& operator+=(const BleuStatistics& other);
};

struct BleuScore {
  double score = 0;
  std::array<double, kBleuOrders> precisions{};  // smoothed, 0 to 100
  double brevity_penalty = 1;
  BleuStatistics statistics;
};

// False for languages whose text the 13a tokeniser cannot cut into words (Chinese, Japanese): do
// not report BLEU there. `language`: "de", "zh-TW" and so on.
bool BleuFitsLanguage(std::string_view language);

// Tokens of one line, trailing white space stripped first.
std::vector<std::string> Tokenize13a(std::string_view line);

BleuStatistics CollectBleu(std::string_view hypothesis, std::string_view reference);
BleuScore ScoreBleu(const BleuStatistics& statistics);
// Errors: InvalidArgument when the two have different numbers of lines.
absl::StatusOr<BleuScore> CorpusBleu(std::span<const std::string> hypotheses,
                                     std::span<const std::string> references);

}  // namespace dragoman::model
