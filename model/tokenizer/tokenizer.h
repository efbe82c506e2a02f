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

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  virtual int64_t vocab_size() const = 0;
  // Ids of one source or target word (no white space in it), as it stands after a blank: the pieces
  // of "▁" + word for SentencePiece, of " " + word for byte-level BPE. `first` is true for the
  // first word of a segment; it matters only for tokenizers that write that word without blank.
  // Literal text of special tokens is plain text: control ids never come out.
  virtual std::vector<TokenId> EncodeWord(std::string_view word, bool first) const = 0;
  // Whole text, as the reference tokenizer does it. No control ids.
  virtual std::vector<TokenId> Encode(std::string_view text) const = 0;
  // One-shot decoding, equal to the reference tokenizer's.
  virtual std::string Decode(std::span<const TokenId> ids) const = 0;

  // Bytes that a token adds to the text, with its leading blank as ' '; empty for control tokens.
  // Byte pieces give one raw byte. Valid for the life of the tokenizer.
  virtual std::string_view TokenBytes(TokenId id) const = 0;
  virtual bool StartsWord(TokenId id) const = 0;
  virtual bool IsControl(TokenId id) const = 0;   // control, unknown and unused ids
  virtual bool IsByte(TokenId id) const = 0;
  // Id of a control token by its literal name, such as "<tgt>".
  virtual std::optional<TokenId> FindControl(std::string_view name) const = 0;
};

// Reads tokenizer.model or tokenizer.json from the folder. Errors name file and field:
// NotFound (neither file), InvalidArgument (damaged, unknown kind, duplicate ids).
absl::StatusOr<std::unique_ptr<Tokenizer>> LoadTokenizer(const std::string& folder);

}  // namespace dragoman::model
