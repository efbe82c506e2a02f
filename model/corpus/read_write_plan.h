// Teacher order of READ and WRITE over the words of a sample (streaming.md sections 3, 5). Pure.
#pragma once

#include <cstdint>
#include <vector>

#include "base/random.h"
#include "model/corpus/sample.h"

namespace dragoman::model {

// Shares of the schedule mix; they sum to 1.
struct ScheduleMix {
  double full = 0.2;
  double wait_k = 0.6;
  double random_path = 0.2;
  int64_t min_k = 1;
  int64_t max_k = 10;
};

struct Schedule {
  enum class Kind { kFull, kWaitK, kRandomPath };
  Kind kind = Kind::kFull;
  int64_t k = 0;  // wait-k
};

// Visible units c for target words 1..T and for EOS (word T+1): [T + 1] values in 1..W+1.
// full: W+1 throughout. wait-k: min(k+j-1, W+1).
std::vector<int64_t> VisibleUnits(const Schedule& schedule, int64_t source_words,
                                  int64_t target_words);

// A fresh draw of the mix for one sample. `units` as from VisibleUnits(); a random path begins with
// U{1..min(4,W)} units and reads 0, 1, 2, 3 more before each next word with P .5 .3 .15 .05.
Schedule DrawSchedule(const ScheduleMix& mix, int64_t source_words, int64_t target_words,
                      RandomStream* random, std::vector<int64_t>* units);

// src_vis of target-side rows 0 .. h+m-1 (header, target): rows i < h-1 see 0 source tokens, row i
// sees E(units[word(i+1)]) where word(i+1) is the word of the token it predicts.
//   marker_tokens: e, visible as unit W+1.
std::vector<int32_t> RowVisibility(const Sample& sample, const std::vector<int64_t>& units,
                                   int32_t header_tokens, int32_t marker_tokens);

}  // namespace dragoman::model
