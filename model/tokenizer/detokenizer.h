// Incremental detokenisation: token ids in, whole UTF-8 out (streaming.md section 7). The blank at
// the start of a segment is dropped; bytes are held until they form complete UTF-8; a broken tail
// becomes one U+FFFD per maximal bad sequence. Concatenation equals one-shot decoding of the
// committed ids. One thread only.
#pragma once

#include <span>
#include <string>

#include "model/tokenizer/tokenizer.h"

namespace dragoman::model {

class Detokenizer {
 public:
  explicit Detokenizer(const Tokenizer* tokenizer) : tokenizer_(tokenizer) {}
  // Text that the tokens complete.
  std::string Push(std::span<const TokenId> tokens);
  // End of the segment: flushes a broken tail; the next token begins a new segment.
  std::string Finish();
  // What Push() would give now, without changing the state; for unstable tails.
  std::string Peek(std::span<const TokenId> tokens) const;

 private:
  const Tokenizer* tokenizer_;
  bool at_start_ = true;
  std::string held_;   // incomplete UTF-8
};

}  // namespace dragoman::model
