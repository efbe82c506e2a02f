// Encoding and decoding with a SentencePiece model: unigram (Kudo 2018, best path) and BPE
// (Sennrich et al. 2016, merges by score), both with byte fallback, with the tie rules and float
// arithmetic of the reference, so that ids are equal. Immutable, therefore thread-safe.
// Difference: a control piece never comes out of text, also where its name is a single character.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/status.h"
#include "model/tokenizer/piece_trie.h"
#include "model/tokenizer/sentencepiece_file.h"
#include "model/tokenizer/text_normalizer.h"
#include "model/tokenizer/tokenizer.h"

namespace dragoman::model {

class SentencePieceTokenizer : public Tokenizer {
 public:
  // Errors: as ParseSentencePieceFile; DataLoss for a damaged normaliser map.
  static absl::StatusOr<std::unique_ptr<SentencePieceTokenizer>> Create(std::string_view content);

  int64_t vocab_size() const override { return static_cast<int64_t>(file_.pieces.size()); }
  std::vector<TokenId> EncodeWord(std::string_view word, bool first) const override;
  std::vector<TokenId> Encode(std::string_view text) const override;
  std::string Decode(std::span<const TokenId> ids) const override;
  std::string_view TokenBytes(TokenId id) const override;
  bool StartsWord(TokenId id) const override;
  bool IsControl(TokenId id) const override;
  bool IsByte(TokenId id) const override;
  std::optional<TokenId> FindControl(std::string_view name) const override;
  DecodingRules decoding_rules() const override;

 private:
  struct Span {
    std::string_view text;
    TokenId id;
  };
  explicit SentencePieceTokenizer(SentencePieceFile file) : file_(std::move(file)) {}

  void BuildTables();
  bool IsKnown(TokenId id) const { return id >= 0 && id < vocab_size(); }
  std::vector<TokenId> Segment(std::string_view normalized) const;
  std::vector<Span> BestPath(std::string_view normalized) const;    // unigram
  std::vector<Span> MergePairs(std::string_view normalized) const;  // BPE

  const SentencePieceFile file_;
  std::unique_ptr<TextNormalizer> normalizer_;
  PieceTrie trie_;  // normal, user defined and unused pieces
  std::unordered_map<std::string_view, TokenId> controls_;
  std::vector<std::string> token_bytes_;  // [vocab]
  std::vector<bool> starts_word_;         // [vocab]
  float unknown_score_ = 0;
  float max_score_ = 0;
};

}  // namespace dragoman::model
