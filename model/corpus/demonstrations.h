// In-context demonstrations for training: for a sample, the most similar other pairs of the
// training set (streaming.md section 5). Similarity is Jaccard over character 3-grams of the
// source; pairs with the same source or target, or more similar than 0.9, are left out (no leak).
// Immutable after construction, therefore thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "model/corpus/sample.h"
#include "model/tokenizer/tokenizer.h"

namespace dragoman::model {

struct DemonstrationOptions {
  double share = 0;  // of samples that get 1 or 2 demonstrations; 0: none are indexed
  double max_similarity = 0.9;
  size_t max_candidates = 200;  // looked at per sample
};

class DemonstrationIndex {
 public:
  // `samples` must outlive the index. Cost: the text of all sources and one posting per 3-gram.
  DemonstrationIndex(const std::vector<Sample>* samples, const Tokenizer& tokenizer,
                     const DemonstrationOptions& options);

  // The nearest allowed pairs of sample `index` of the same language, best first, at most `count`.
  std::vector<uint32_t> Nearest(uint32_t index, size_t count) const;

  // Demonstrations of a sample in an epoch: none for 1 - share of them, else one or two. Drawn from
  // (seed, epoch, sample id).
  std::vector<uint32_t> Draw(uint64_t seed, uint64_t epoch, uint32_t index) const;

 private:
  const std::vector<Sample>* const samples_;
  const DemonstrationOptions options_;
  std::vector<std::vector<uint32_t>> grams_;                      // sorted 3-gram ids per sample
  std::unordered_map<uint32_t, std::vector<uint32_t>> postings_;  // 3-gram -> samples
};

// Ids of the symbols around a demonstration: <ex> source <=> target </ex>.
struct DemonstrationSymbols {
  TokenId begin = 0, between = 0, end = 0;
};

// `prompt` with the demonstrations before its last token (the one that opens the source).
std::vector<TokenId> PromptWithDemonstrations(const std::vector<TokenId>& prompt,
                                              const std::vector<const Sample*>& demonstrations,
                                              const DemonstrationSymbols& symbols);

}  // namespace dragoman::model
