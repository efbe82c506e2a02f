// Guards against targets that run away (streaming.md section 6). Pure functions.
#pragma once

#include <cstdint>
#include <span>

#include "model/api/model_config.h"

namespace dragoman::model {

// Loop guard: longest repeated group, how often it must stand in a row, tokens it must cover.
constexpr int kLoopMaxGroup = 8;
constexpr int kLoopRepeats = 3;
constexpr int kLoopMinTokens = 12;

struct StopLimits {
  int32_t max_word_tokens = 24;
  int32_t max_words_ahead = 20;
  int32_t target_slack_tokens = 20;
};

// May the target of `source_tokens` (the end-of-source marker not counted) have `target_tokens`
// tokens? m <= 2 n + slack. Asked once the source has ended, because n is not known before.
bool TargetLengthAllowed(const StopLimits& limits, int64_t source_tokens, int64_t target_tokens);

// May word `next_word` (1-based) be written while the source is open and `visible_units` of it are
// visible?
bool WordsAheadAllowed(const StopLimits& limits, int64_t next_word, int64_t visible_units);

// Is a word of `word_tokens` tokens full, so that the next token must be a word border?
bool WordIsFull(const StopLimits& limits, int64_t word_tokens);

// Would `next` complete a loop: the same group of g <= 8 tokens, at least three times in a row and
// over at least 12 tokens, at the end of `target` + `next`? Looks at 24 tokens at most.
bool ClosesLoop(std::span<const TokenId> target, TokenId next);

}  // namespace dragoman::model
