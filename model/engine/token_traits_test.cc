#include "model/engine/token_traits.h"

#include <gtest/gtest.h>

namespace dragoman::model {
namespace {

// Ids 0..2 are control tokens, 3 is a byte, even ids from 4 on start a word.
class SixTokens final : public Tokenizer {
 public:
  int64_t vocab_size() const override { return 6; }
  std::vector<TokenId> EncodeWord(std::string_view, bool) const override { return {}; }
  std::vector<TokenId> Encode(std::string_view) const override { return {}; }
  std::string Decode(std::span<const TokenId>) const override { return ""; }
  std::string_view TokenBytes(TokenId) const override { return ""; }
  bool StartsWord(TokenId id) const override { return id >= 4 && id % 2 == 0; }
  bool IsControl(TokenId id) const override { return id < 3; }
  bool IsByte(TokenId id) const override { return id == 3; }
  std::optional<TokenId> FindControl(std::string_view) const override { return std::nullopt; }
};

TEST(TokenTraitsTest, SuppressesControlAndPaddingButNotTheEndOfTarget) {
  const TokenTraits traits = MakeTokenTraits(SixTokens(), 8, 2);
  constexpr uint8_t kSuppressed = TokenTraits::kSuppressed;
  EXPECT_EQ(traits.flags,
            (std::vector<uint8_t>{kSuppressed, kSuppressed, 0, 0, TokenTraits::kWordStart, 0,
                                  kSuppressed, kSuppressed}));
}

TEST(TokenTraitsTest, AVocabularySmallerThanTheTokenizersIsCut) {
  EXPECT_EQ(MakeTokenTraits(SixTokens(), 4, 1).flags.size(), 4u);
}

}  // namespace
}  // namespace dragoman::model
