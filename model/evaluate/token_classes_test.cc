#include "model/evaluate/token_classes.h"

#include <string>
#include <utility>

#include "gtest/gtest.h"

namespace dragoman::model {
namespace {

// Tokens by their bytes; empty: control. Those with a leading blank start a word.
class ListTokenizer final : public Tokenizer {
 public:
  explicit ListTokenizer(std::vector<std::string> tokens) : tokens_(std::move(tokens)) {}
  int64_t vocab_size() const override { return static_cast<int64_t>(tokens_.size()); }
  std::vector<TokenId> EncodeWord(std::string_view, bool) const override { return {}; }
  std::vector<TokenId> Encode(std::string_view) const override { return {}; }
  std::string Decode(std::span<const TokenId>) const override { return ""; }
  std::string_view TokenBytes(TokenId id) const override {
    return tokens_[static_cast<size_t>(id)];
  }
  bool StartsWord(TokenId id) const override { return TokenBytes(id).substr(0, 1) == " "; }
  bool IsControl(TokenId id) const override { return TokenBytes(id).empty(); }
  bool IsByte(TokenId id) const override { return TokenBytes(id) == "."; }  // one, for the test
  std::optional<TokenId> FindControl(std::string_view) const override { return std::nullopt; }

 private:
  const std::vector<std::string> tokens_;
};

TokenClass ClassOf(const std::string& token) {
  return ClassifyTokens(ListTokenizer({token}), 1)[0];
}

TEST(TokenClassesTest, TheFirstRuleThatHoldsDecides) {
  EXPECT_EQ(ClassOf(""), TokenClass::kTag);
  EXPECT_EQ(ClassOf(" house"), TokenClass::kWordStart);
  EXPECT_EQ(ClassOf("boat"), TokenClass::kWordPiece);
  EXPECT_EQ(ClassOf(" "), TokenClass::kWordStart);
  EXPECT_EQ(ClassOf(" 1984"), TokenClass::kDigit);
  EXPECT_EQ(ClassOf("7"), TokenClass::kDigit);
  EXPECT_EQ(ClassOf("\xD9\xA3"), TokenClass::kDigit) << "Arabic-Indic digit three";
  EXPECT_EQ(ClassOf("3rd"), TokenClass::kWordPiece);
  EXPECT_EQ(ClassOf(","), TokenClass::kPunctuation);
  EXPECT_EQ(ClassOf(" \""), TokenClass::kPunctuation);
  EXPECT_EQ(ClassOf("?!"), TokenClass::kSentenceEnd);
  EXPECT_EQ(ClassOf("..."), TokenClass::kSentenceEnd);
  EXPECT_EQ(ClassOf("\xE3\x80\x82"), TokenClass::kSentenceEnd) << "ideographic full stop";
  EXPECT_EQ(ClassOf(".\""), TokenClass::kPunctuation) << "not a mark alone";
  EXPECT_EQ(ClassOf(" \xC3\xA9t\xC3\xA9"), TokenClass::kWordStart) << "letters beyond ASCII";
}

TEST(TokenClassesTest, PartsOfCharactersAreWordPieces) {
  EXPECT_EQ(ClassOf("\xE2\x82"), TokenClass::kWordPiece);
  EXPECT_EQ(ClassOf("."), TokenClass::kWordPiece) << "a byte piece";
}

TEST(TokenClassesTest, IdsBeyondTheTokenizerAreTags) {
  const std::vector<TokenClass> classes = ClassifyTokens(ListTokenizer({" a"}), 3);

  ASSERT_EQ(classes.size(), 3u);
  EXPECT_EQ(classes[0], TokenClass::kWordStart);
  EXPECT_EQ(classes[1], TokenClass::kTag);
  EXPECT_EQ(classes[2], TokenClass::kTag);
}

}  // namespace
}  // namespace dragoman::model
