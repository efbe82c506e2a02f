// Incremental detokenisation: token ids in, whole UTF-8 out (streaming.md section 7). The blank at
// the start of a segment is dropped; bytes are held until they form complete UTF-8. Broken bytes
// become U+FFFD as the reference decoder of the model does it (DecodingRules): one per byte for
// SentencePiece, one per maximal bad sequence for byte-level BPE. Concatenation equals one-shot
// decoding of the committed ids; only byte-level BPE's decoder keeps the first blank, which is
// dropped here. One thread only.
#pragma once

#include <span>
#include <string>

#include "model/tokenizer/tokenizer.h"

namespace dragoman::model {

class Detokenizer {
 public:
  // `tokenizer` must outlive the detokenizer.
  explicit Detokenizer(const Tokenizer* tokenizer)
      : tokenizer_(tokenizer), rules_(tokenizer->decoding_rules()) {}
  // Text that the tokens complete.
  std::string Push(std::span<const TokenId> tokens);
  // End of the segment: flushes a broken tail; the next token begins a new segment.
  std::string Finish();
  // What Push() would give now, without changing the state; for unstable tails.
  std::string Peek(std::span<const TokenId> tokens) const;

 private:
  struct State {
    bool at_start = true;  // a leading blank would still be dropped
    std::string held;      // incomplete UTF-8, at most 3 bytes
  };
  void Advance(std::span<const TokenId> tokens, State* state, std::string* out) const;
  void FlushBytes(State* state, std::string* out) const;
  // Moves what is complete from `state->held` to `out`.
  void TakeCompleteBytes(State* state, std::string* out) const;

  const Tokenizer* tokenizer_;
  const DecodingRules rules_;
  State state_;
};

}  // namespace dragoman::model
