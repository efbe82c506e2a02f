// Which source word each target word translates: IBM model 1 (Brown et al. 1993) with the prior for
// the diagonal and for no word at all of Dyer et al. 2013, trained by EM on the pairs themselves.
// Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace dragoman::model {

struct WordPair {
  std::vector<std::string> source, target;
};

// For every pair and target word the index of its source word, from 0, or -1 where no source word
// explains it best. ASCII letters are compared without case and words without ASCII punctuation at
// their ends. Cost: pairs * source words * target words, a few times.
std::vector<std::vector<int64_t>> AlignWords(const std::vector<WordPair>& pairs);

}  // namespace dragoman::model
