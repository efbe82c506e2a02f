// The content of a Hugging Face tokenizer.json with a BPE model, as far as encoding and decoding
// need it, with every rule checked. Pure functions.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/status.h"
#include "model/tokenizer/split_pattern.h"

namespace dragoman::model {

struct BpeFile {
  struct Merge {
    int32_t left;
    int32_t right;
    int32_t result;
  };
  struct AddedToken {
    int32_t id;
    std::string content;
    bool special;
  };
  // kByteLevel: pieces are bytes written as printable characters (GPT-2, LLaMA 3, Qwen).
  // kPlain: pieces are text, "▁" stands for a blank.
  enum class Kind { kByteLevel, kPlain };

  Kind kind = Kind::kPlain;
  std::vector<std::string> pieces;  // by id; empty where an id is not used
  std::vector<Merge> merges;        // best first
  std::vector<AddedToken> added_tokens;
  std::optional<SplitPattern> split;  // byte-level only; nothing: text is not split
  bool add_prefix_space = false;      // byte-level: a blank before the first word too
  bool normalize_nfc = false;
  bool escape_blanks = false;  // plain: "▁" before the text and for each blank
  bool byte_fallback = false;  // plain: unknown characters as <0xNN>
  bool fuse_unknown = false;   // plain: a run of unknown characters is one id
  bool ignore_merges = false;  // a whole part that is a piece needs no merges
  std::optional<int32_t> unknown_id;
};

// Errors: DataLoss (a field missing or of another type, an id twice, negative or beyond 2^21, an
// empty piece, a merge that names an unknown piece, an added token at odds with the vocabulary);
// FailedPrecondition (a model type, normalizer, pre-tokenizer or split pattern that is not built
// in; the message names it).
absl::StatusOr<BpeFile> ParseTokenizerJson(const Json& root);

// The character that stands for `byte` in a byte-level vocabulary.
uint32_t ByteLevelCharacter(unsigned char byte);
// The bytes that a byte-level piece stands for; a piece with other characters stands for itself.
std::string DecodeByteLevelPiece(std::string_view piece);

}  // namespace dragoman::model
