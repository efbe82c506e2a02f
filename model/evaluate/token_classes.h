// What the tokens of a vocabulary are, for tables of skip rates. Pure.
#pragma once

#include <vector>

#include "model/routing/skip_inspection.h"
#include "model/tokenizer/tokenizer.h"

namespace dragoman::model {

// By text without its leading blank, the first that holds: control token; sentence mark (. ! ? and
// their kin, repeated or not); numbers alone; neither letter nor number; word start; word piece.
// Byte pieces are word pieces. Ids that the tokenizer does not know are tags. [vocab_size]
std::vector<TokenClass> ClassifyTokens(const Tokenizer& tokenizer, int64_t vocab_size);

}  // namespace dragoman::model
