#include "model/decode/stop_rules.h"

#include <algorithm>

namespace dragoman::model {

bool TargetLengthAllowed(const StopLimits& limits, int64_t source_tokens, int64_t target_tokens) {
  return target_tokens <= 2 * source_tokens + limits.target_slack_tokens;
}

bool WordsAheadAllowed(const StopLimits& limits, int64_t next_word, int64_t visible_units) {
  return next_word <= visible_units + limits.max_words_ahead;
}

bool WordIsFull(const StopLimits& limits, int64_t word_tokens) {
  return word_tokens >= limits.max_word_tokens;
}

bool ClosesLoop(std::span<const TokenId> target, TokenId next) {
  const auto size = static_cast<int>(target.size()) + 1;
  // Token `back` places before the end of target + next; 0 is `next`.
  const auto at = [&](int back) { return back == 0 ? next : target[target.size() - back]; };
  for (int group = 1; group <= kLoopMaxGroup; ++group) {
    // Groups of one to three tokens must repeat more often to cover enough tokens.
    const int covered = std::max(kLoopRepeats * group, kLoopMinTokens);
    if (covered > size) continue;
    bool periodic = true;
    for (int back = 0; periodic && back + group < covered; ++back) {
      periodic = at(back) == at(back + group);
    }
    if (periodic) return true;
  }
  return false;
}

}  // namespace dragoman::model
