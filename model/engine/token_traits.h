// Traits of a tokenizer's vocabulary, as the engine wants them.
#pragma once

#include <cstdint>

#include "model/decode/token_traits.h"
#include "model/tokenizer/tokenizer.h"

namespace dragoman::model {

// Flags for `vocab_size` ids, which may be more than the tokenizer knows (padded embeddings):
// word starts as the tokenizer says; suppressed are control ids other than `end_of_target`, and ids
// that the tokenizer does not know.
TokenTraits MakeTokenTraits(const Tokenizer& tokenizer, int64_t vocab_size, TokenId end_of_target);

}  // namespace dragoman::model
