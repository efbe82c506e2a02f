// Chooses the attention heads that say which source word a target token is about (streaming.md
// section 9, AlignAtt): the target of a pair is given to the backbone, and a head scores where it
// looks most at the word, or beside the word, that an aligner found. One thread only.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/status.h"
#include "model/api/backbone.h"
#include "model/api/stream_layout.h"

namespace dragoman::model {

// One side of a pair as tokens; word w is tokens [word_ends[w], word_ends[w + 1]).
struct WordTokens {
  std::vector<TokenId> tokens;
  std::vector<int32_t> word_ends;  // [words + 1], first one 0
};

struct CalibrationPair {
  StreamLayout layout;
  WordTokens source, target;
  std::vector<int64_t> alignment;  // [target words]: source word from 0, or -1: not scored
};

struct HeadScore {
  std::vector<AttentionHead> heads;  // one, or those whose mean was scored
  int64_t rows = 0;                  // target tokens of aligned words
  int64_t hits = 0;                  // of these, looked within one word of the aligned one

  double share() const { return rows == 0 ? 0.0 : static_cast<double>(hits) / rows; }
};

// All heads of the model, one after another.
std::vector<HeadScore> EveryHead(const ModelConfig& config);

// Adds pairs to the scores; all are in the cache at the same time. Every target row sees the whole
// source; the rows that predict a token are asked, not those that carry it. The end-of-source
// marker and the prompt count as no word. Cost: a step over all target tokens for each score.
// Errors: InvalidArgument (a pair without words or alignment), those of the backbone.
absl::Status ScoreHeads(Backbone* backbone, std::span<const CalibrationPair> pairs,
                        std::span<HeadScore> scores);

// The `keep` best single heads, best first; of equals the lower layer, then the lower head.
std::vector<AttentionHead> BestHeads(std::vector<HeadScore> scores, size_t keep);

}  // namespace dragoman::model
