#include "model/engine/token_traits.h"

#include <algorithm>

namespace dragoman::model {

TokenTraits MakeTokenTraits(const Tokenizer& tokenizer, int64_t vocab_size, TokenId end_of_target) {
  TokenTraits traits;
  traits.flags.assign(vocab_size, TokenTraits::kSuppressed);
  const int64_t known = std::min(vocab_size, tokenizer.vocab_size());
  for (TokenId id = 0; id < known; ++id) {
    if (id == end_of_target) {
      traits.flags[id] = 0;
    } else if (!tokenizer.IsControl(id)) {
      traits.flags[id] = tokenizer.StartsWord(id) ? TokenTraits::kWordStart : 0;
    }
  }
  return traits;
}

}  // namespace dragoman::model
