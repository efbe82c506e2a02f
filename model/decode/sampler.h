// Greedy choice of the next target token. Knows no sequence and no policy.
#pragma once

#include <span>
#include <vector>

#include "base/status.h"
#include "model/decode/token_traits.h"

namespace dragoman::model {

// Immutable, therefore thread-safe. Holds two masks of one float per token id.
class GreedySampler {
 public:
  explicit GreedySampler(TokenTraits traits);

  // The id of the highest logit; ties go to the lowest id. Suppressed ids never come out. With
  // `boundary_lock` only word starts and `end_of_target` do, so that a word that has been committed
  // cannot grow (streaming.md section 6). Two passes over the row, no allocation.
  //   logits: fp32 [vocab].    end_of_target: an id that is not suppressed.
  // Errors: Internal when any logit is NaN or infinite.
  absl::StatusOr<TokenId> Select(std::span<const float> logits, TokenId end_of_target,
                                 bool boundary_lock) const;
  // The same without `end_of_target`: the model has to say something.
  absl::StatusOr<TokenId> SelectText(std::span<const float> logits, TokenId end_of_target,
                                     bool boundary_lock) const;

  // Probability of `id` under softmax of finite logits [vocab] at temperature 1.
  static float Probability(std::span<const float> logits, TokenId id);

  bool StartsWord(TokenId id) const { return traits_.IsWordStart(id); }
  const TokenTraits& traits() const { return traits_; }

 private:
  TokenTraits traits_;
  // Added to the logits: 0 for ids that may come out, minus infinity for the others. [vocab]
  std::vector<float> open_bias_;
  std::vector<float> lock_bias_;
};

}  // namespace dragoman::model
