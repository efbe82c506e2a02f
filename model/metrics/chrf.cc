#include "model/metrics/chrf.h"

#include <algorithm>
#include <unordered_map>
#include <vector>

#include "model/metrics/text_blanks.h"

namespace dragoman::model {
namespace {

// A text without white space, and where its characters begin (and end).
struct PlainText {
  std::string bytes;
  std::vector<size_t> borders = {0};  // [characters + 1]

  explicit PlainText(std::string_view text) {
    for (const std::string_view character : NonBlankCharacters(text)) {
      bytes.append(character);
      borders.push_back(bytes.size());
    }
  }
  size_t num_ngrams(size_t order) const {
    const size_t characters = borders.size() - 1;
    return characters < order ? 0 : characters - order + 1;
  }
  std::string_view ngram(size_t begin, size_t order) const {
    return std::string_view(bytes).substr(borders[begin], borders[begin + order] - borders[begin]);
  }
};

}  // namespace

ChrfStatistics& ChrfStatistics::operator+=(const ChrfStatistics& other) {
  for (size_t n = 0; n < kChrfOrders; ++n) {
    orders[n].hypothesis += other.orders[n].hypothesis;
    orders[n].reference += other.orders[n].reference;
    orders[n].matches += other.orders[n].matches;
  }
  return *this;
}

ChrfStatistics CollectChrf(std::string_view hypothesis, std::string_view reference) {
  const PlainText hypothesis_text(hypothesis);
  const PlainText reference_text(reference);
  ChrfStatistics statistics;
  std::unordered_map<std::string_view, int64_t> left;  // n-grams of the reference not matched yet
  for (size_t n = 0; n < kChrfOrders; ++n) {
    const size_t order = n + 1;
    const size_t in_reference = reference_text.num_ngrams(order);
    if (in_reference == 0) break;
    const size_t in_hypothesis = hypothesis_text.num_ngrams(order);
    left.clear();
    for (size_t i = 0; i < in_reference; ++i) ++left[reference_text.ngram(i, order)];
    ChrfStatistics::Order& counts = statistics.orders[n];
    counts.reference = static_cast<int64_t>(in_reference);
    counts.hypothesis = static_cast<int64_t>(in_hypothesis);
    for (size_t i = 0; i < in_hypothesis; ++i) {
      const auto found = left.find(hypothesis_text.ngram(i, order));
      if (found == left.end() || found->second == 0) continue;
      --found->second;
      ++counts.matches;
    }
  }
  return statistics;
}

double ScoreChrf(const ChrfStatistics& statistics) {
  double precision = 0;
  double recall = 0;
  int orders = 0;
  for (const ChrfStatistics::Order& order : statistics.orders) {
    if (order.hypothesis == 0 || order.reference == 0) continue;
    precision += static_cast<double>(order.matches) / static_cast<double>(order.hypothesis);
    recall += static_cast<double>(order.matches) / static_cast<double>(order.reference);
    ++orders;
  }
  if (orders == 0 || precision + recall == 0) return 0;
  precision /= orders;
  recall /= orders;
  return 100.0 * 5.0 * precision * recall / (4.0 * precision + recall);
}

absl::StatusOr<double> CorpusChrf(std::span<const std::string> hypotheses,
                                  std::span<const std::string> references) {
  if (hypotheses.size() != references.size()) {
    return absl::InvalidArgumentError(
        absl::StrFormat("%d hypotheses, but %d references", hypotheses.size(), references.size()));
  }
  ChrfStatistics sum;
  for (size_t i = 0; i < hypotheses.size(); ++i) sum += CollectChrf(hypotheses[i], references[i]);
  return ScoreChrf(sum);
}

}  // namespace dragoman::model
