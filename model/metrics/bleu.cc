#include "model/metrics/bleu.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "base/strings.h"
#include "model/metrics/text_blanks.h"

namespace dragoman::model {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsPointOrComma(char c) { return c == '.' || c == ','; }

// { | } ~ [ \ ] ^ _ ` blank ! " # $ % & ( ) * + : ; < = > ? @ /
bool StandsAlone(char c) {
  return (c >= '{' && c <= '~') || (c >= '[' && c <= '`') || (c >= ' ' && c <= '&') ||
         (c >= '(' && c <= '+') || (c >= ':' && c <= '@') || c == '/';
}

// Puts blanks round and between the two characters of each pair that `is_pair` accepts, from left
// to right without overlap. Bytes do for characters: only ASCII decides.
template <typename IsPair>
std::string SplitPairs(const std::string& text, std::string_view before, std::string_view between,
                       std::string_view after, IsPair is_pair) {
  std::string result;
  result.reserve(text.size() + text.size() / 4);
  size_t i = 0;
  while (i < text.size()) {
    if (i + 1 < text.size() && is_pair(text[i], text[i + 1])) {
      result.append(before).push_back(text[i]);
      result.append(between).push_back(text[i + 1]);
      result.append(after);
      i += 2;
    } else {
      result.push_back(text[i++]);
    }
  }
  return result;
}

using NgramCounts = std::unordered_map<std::string, int64_t>;

// Tokens hold no blank, so a blank between them keeps different n-grams apart.
std::array<NgramCounts, kBleuOrders> CountNgrams(const std::vector<std::string>& tokens) {
  std::array<NgramCounts, kBleuOrders> counts;
  for (size_t begin = 0; begin < tokens.size(); ++begin) {
    std::string ngram;
    for (size_t n = 0; n < kBleuOrders && begin + n < tokens.size(); ++n) {
      if (n > 0) ngram.push_back(' ');
      ngram.append(tokens[begin + n]);
      ++counts[n][ngram];
    }
  }
  return counts;
}

}  // namespace

BleuStatistics& BleuStatistics::operator+=(const BleuStatistics& other) {
  for (size_t n = 0; n < kBleuOrders; ++n) {
    matches[n] += other.matches[n];
    totals[n] += other.totals[n];
  }
  hypothesis_tokens += other.hypothesis_tokens;
  reference_tokens += other.reference_tokens;
  return *this;
}

bool BleuFitsLanguage(std::string_view language) {
  const std::string_view primary = language.substr(0, language.find_first_of("-_"));
  return primary != "zh" && primary != "ja";
}

std::vector<std::string> Tokenize13a(std::string_view line) {
  std::string text(StripTrailingBlanks(line));
  text = ReplaceAll(text, "<skipped>", "");
  text = ReplaceAll(text, "-\n", "");
  text = ReplaceAll(text, "\n", " ");
  text = ReplaceAll(text, "&quot;", "\"");
  text = ReplaceAll(text, "&amp;", "&");
  text = ReplaceAll(text, "&lt;", "<");
  text = ReplaceAll(text, "&gt;", ">");
  std::string spaced = " ";
  for (const char c : text + " ") {
    if (StandsAlone(c)) {
      spaced.append({' ', c, ' '});
    } else {
      spaced.push_back(c);
    }
  }
  spaced = SplitPairs(spaced, "", " ", " ",
                      [](char a, char b) { return !IsDigit(a) && IsPointOrComma(b); });
  spaced = SplitPairs(spaced, " ", " ", "",
                      [](char a, char b) { return IsPointOrComma(a) && !IsDigit(b); });
  spaced = SplitPairs(spaced, "", " ", " ", [](char a, char b) { return IsDigit(a) && b == '-'; });
  std::vector<std::string> tokens;
  for (const std::string_view token : SplitScorerBlanks(spaced)) tokens.emplace_back(token);
  return tokens;
}

BleuStatistics CollectBleu(std::string_view hypothesis, std::string_view reference) {
  const std::vector<std::string> hypothesis_tokens = Tokenize13a(hypothesis);
  const std::vector<std::string> reference_tokens = Tokenize13a(reference);
  const auto hypothesis_counts = CountNgrams(hypothesis_tokens);
  const auto reference_counts = CountNgrams(reference_tokens);
  BleuStatistics statistics;
  for (size_t n = 0; n < kBleuOrders; ++n) {
    for (const auto& [ngram, count] : hypothesis_counts[n]) {
      statistics.totals[n] += count;
      const auto found = reference_counts[n].find(ngram);
      if (found != reference_counts[n].end()) {
        statistics.matches[n] += std::min(count, found->second);
      }
    }
  }
  statistics.hypothesis_tokens = static_cast<int64_t>(hypothesis_tokens.size());
  statistics.reference_tokens = static_cast<int64_t>(reference_tokens.size());
  return statistics;
}

BleuScore ScoreBleu(const BleuStatistics& statistics) {
  BleuScore result;
  result.statistics = statistics;
  const auto hypothesis = static_cast<double>(statistics.hypothesis_tokens);
  const auto reference = static_cast<double>(statistics.reference_tokens);
  if (hypothesis < reference) {
    result.brevity_penalty = hypothesis > 0 ? std::exp(1.0 - reference / hypothesis) : 0.0;
  }
  const bool any = std::any_of(statistics.matches.begin(), statistics.matches.end(),
                               [](int64_t matches) { return matches > 0; });
  if (!any) return result;
  double smoothing = 1.0;
  double log_sum = 0.0;
  for (size_t n = 0; n < kBleuOrders; ++n) {
    const auto total = static_cast<double>(statistics.totals[n]);
    if (statistics.totals[n] == 0) return result;  // no n-gram of this order: the score is 0
    if (statistics.matches[n] == 0) {
      smoothing *= 2.0;
      result.precisions[n] = 100.0 / (smoothing * total);
    } else {
      result.precisions[n] = 100.0 * static_cast<double>(statistics.matches[n]) / total;
    }
    log_sum += std::log(result.precisions[n]);
  }
  result.score = result.brevity_penalty * std::exp(log_sum / kBleuOrders);
  return result;
}

absl::StatusOr<BleuScore> CorpusBleu(std::span<const std::string> hypotheses,
                                     std::span<const std::string> references) {
  if (hypotheses.size() != references.size()) {
    return absl::InvalidArgumentError(
        absl::StrFormat("%d hypotheses, but %d references", hypotheses.size(), references.size()));
  }
  BleuStatistics sum;
  for (size_t i = 0; i < hypotheses.size(); ++i) sum += CollectBleu(hypotheses[i], references[i]);
  return ScoreBleu(sum);
}

}  // namespace dragoman::model
