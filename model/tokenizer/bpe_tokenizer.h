// Byte-pair encoding by merge rank (Sennrich et al. 2016) with a Hugging Face tokenizer.json:
// byte-level (GPT-2, LLaMA 3, Qwen2, Qwen3) and plain. Immutable, therefore thread-safe.
// Difference from the reference: an added token, special or not, never comes out of text.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/json.h"
#include "base/status.h"
#include "model/tokenizer/tokenizer.h"
#include "model/tokenizer/tokenizer_json.h"

namespace dragoman::model {

class BpeTokenizer : public Tokenizer {
 public:
  // Errors: as ParseTokenizerJson.
  static absl::StatusOr<std::unique_ptr<BpeTokenizer>> Create(const Json& root);

  int64_t vocab_size() const override { return static_cast<int64_t>(file_.pieces.size()); }
  std::vector<TokenId> EncodeWord(std::string_view word, bool first) const override;
  std::vector<TokenId> Encode(std::string_view text) const override;
  // Byte-level: the first blank stays, as in the reference. Plain: it is dropped.
  std::string Decode(std::span<const TokenId> ids) const override;
  std::string_view TokenBytes(TokenId id) const override;
  bool StartsWord(TokenId id) const override;
  bool IsControl(TokenId id) const override;
  bool IsByte(TokenId id) const override;
  std::optional<TokenId> FindControl(std::string_view name) const override;
  DecodingRules decoding_rules() const override;

 private:
  struct RankedMerge {
    int32_t rank;
    TokenId result;
  };
  explicit BpeTokenizer(BpeFile file) : file_(std::move(file)) {}

  void BuildTables();
  bool IsKnown(TokenId id) const { return id >= 0 && id < vocab_size(); }
  bool byte_level() const { return file_.kind == BpeFile::Kind::kByteLevel; }
  const RankedMerge* FindMerge(TokenId left, TokenId right) const;
  std::vector<TokenId> EncodeNormalized(std::string_view text) const;
  // One part of the pre-tokenizer.
  void EncodePart(std::string_view part, std::vector<TokenId>* ids) const;
  std::vector<TokenId> InitialSymbols(std::string_view part) const;

  const BpeFile file_;
  std::unordered_map<uint64_t, RankedMerge> merges_;            // by left and right id
  std::unordered_map<std::string_view, TokenId> ids_by_bytes_;  // what text may become
  std::unordered_map<std::string_view, TokenId> controls_;
  std::array<TokenId, 256> byte_ids_{};
  std::vector<std::string> token_bytes_;  // [vocab]
  std::vector<bool> control_;             // [vocab]
  std::vector<bool> byte_;                // [vocab], plain only
};

}  // namespace dragoman::model
