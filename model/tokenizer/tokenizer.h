// Reads SentencePiece model files (unigram, BPE, byte fallback, normaliser map) and byte-level BPE
// tokenizer.json, and encodes word by word. The SentencePiece library itself cannot live beside
// gRPC (docs/ARCHITECTURE.md, "Why not"). Immutable after load, therefore thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "model/api/model_config.h"

namespace dragoman::model {

// How the reference decoder makes text of token bytes; the Detokenizer repeats it step by step.
struct DecodingRules {
  // What happens to the blank in front of the first word.
  enum class LeadingBlank { kKeep, kDropOne, kDropAll };
  LeadingBlank leading_blank = LeadingBlank::kDropOne;
  // Broken UTF-8: one U+FFFD per byte (SentencePiece), or one per maximal bad sequence.
  bool replace_each_byte = false;
  // Byte-level BPE: a character may begin in one token and end in the next. SentencePiece: only
  // inside a run of byte pieces.
  bool join_bytes_across_tokens = true;
};

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  virtual int64_t vocab_size() const = 0;
  // Ids of one source or target word (no white space in it), as it stands after a blank: the pieces
  // of "▁" + word for SentencePiece, of " " + word for byte-level BPE. `first` is true for the
  // first word of a segment; it matters only for tokenizers that write that word without blank.
  // Literal text of special tokens is plain text: control ids never come out. Empty when the
  // normaliser leaves nothing of the word, as of a lone zero-width space: such a word is no word.
  virtual std::vector<TokenId> EncodeWord(std::string_view word, bool first) const = 0;
  // Whole text, as the reference tokenizer does it. No control ids.
  virtual std::vector<TokenId> Encode(std::string_view text) const = 0;
  // One-shot decoding, equal to the reference tokenizer's.
  virtual std::string Decode(std::span<const TokenId> ids) const = 0;

  // Bytes that a token adds to the text, with its leading blank as ' '; empty for control tokens.
  // Byte pieces give one raw byte. Valid for the life of the tokenizer.
  virtual std::string_view TokenBytes(TokenId id) const = 0;
  virtual bool StartsWord(TokenId id) const = 0;
  virtual bool IsControl(TokenId id) const = 0;  // control, unknown and unused ids
  virtual bool IsByte(TokenId id) const = 0;
  // Id of a control token by its literal name, such as "<tgt>".
  virtual std::optional<TokenId> FindControl(std::string_view name) const = 0;
  virtual DecodingRules decoding_rules() const { return {}; }
};

// Reads tokenizer.model, or else tokenizer.json, from the folder. Errors name file and field:
// NotFound (neither file), DataLoss (damaged: bad syntax, an id or piece twice or out of range),
// FailedPrecondition (sound, but of a kind or with a rule that is not built in),
// InvalidArgument (a file that is too large or no regular file).
absl::StatusOr<std::unique_ptr<Tokenizer>> LoadTokenizer(const std::string& folder);

}  // namespace dragoman::model
