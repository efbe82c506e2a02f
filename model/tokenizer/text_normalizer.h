// The normaliser of SentencePiece: longest-match replacement by a precompiled map, white space
// rules, and the escaped blank. Equal to the reference on any bytes. Immutable, therefore
// thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "model/tokenizer/piece_trie.h"
#include "model/tokenizer/sentencepiece_file.h"

namespace dragoman::model {

class TextNormalizer {
 public:
  // Errors: DataLoss (a map that is cut off).
  static absl::StatusOr<std::unique_ptr<TextNormalizer>> Create(const SentencePieceFile& file);

  // Text as the segmentation algorithm wants it. `blank_prefix` puts the blank symbol in front.
  std::string Normalize(std::string_view text, bool blank_prefix) const;
  // "▁", or " " when the model does not escape.
  std::string_view blank_symbol() const { return escape_ ? "\xE2\x96\x81" : " "; }
  // Pieces that are kept whole and not normalised.
  const PieceTrie& user_defined() const { return user_defined_; }

 private:
  TextNormalizer() = default;
  // Replacement of the longest rule at the start of `text`, and how many bytes it stands for.
  std::pair<std::string_view, size_t> Replace(std::string_view text) const;

  std::vector<uint32_t> units_;  // double-array trie (darts-clone), one unit per node
  std::string replacements_;     // NUL-terminated strings, addressed by the trie's values
  PieceTrie user_defined_;
  bool has_user_defined_ = false;
  bool remove_extra_ = true;
  bool escape_ = true;
};

}  // namespace dragoman::model
