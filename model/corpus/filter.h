// Which sentence pairs may be trained on. Every drop has a counted reason. One thread only.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "model/corpus/sentence_pair.h"

namespace dragoman::model {

struct FilterOptions {
  bool may_ship_only = false;
  size_t max_words = 60;          // of either side
  double min_length_ratio = 0.4;  // target words / source words
  double max_length_ratio = 2.5;
  size_t ratio_slack_words = 3;        // differences up to this many words are never dropped
  std::vector<std::string> languages;  // target languages kept; empty: all
};

class PairFilter {
 public:
  explicit PairFilter(const FilterOptions& options) : options_(options) {}

  // Source sentences that must not be trained on, exactly or with one word replaced, added or
  // removed (after folding case and punctuation).
  void Exclude(std::string_view source);

  // Empty: keep. Otherwise the reason, which is also counted.
  std::string Check(const SentencePair& pair);

  const std::map<std::string, uint64_t>& drops() const { return drops_; }

 private:
  std::string Reason(const SentencePair& pair);

  const FilterOptions options_;
  std::unordered_set<uint64_t> excluded_;  // folded sentences and all of them without one word
  std::unordered_set<uint64_t> seen_;      // folded pairs
  std::map<std::string, uint64_t> drops_;
};

// Lower case, apostrophes deleted, everything that is not a letter or digit a blank; as words.
// Only ASCII and Latin-1 letters are folded.
std::vector<std::string> FoldWords(std::string_view text);

}  // namespace dragoman::model
