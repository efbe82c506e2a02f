#include "model/tokenizer/sentencepiece_tokenizer.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "model/tokenizer/tokenizer_test_support.h"

namespace dragoman::model {
namespace {

class SentencePieceGoldenTest : public testing::TestWithParam<const char*> {};

TEST_P(SentencePieceGoldenTest, EncodesEveryStringAsTheReferenceDoes) {
  const auto tokenizer = LoadGoldenModel(GetParam());
  const Json cases = GoldenCases(GetParam());

  ASSERT_EQ(cases["encode"].size(), 121u);
  for (const Json& item : cases["encode"]) {
    const auto text = item["text"].get<std::string>();

    EXPECT_EQ(tokenizer->Encode(text), item["ids"].get<std::vector<TokenId>>()) << text;
  }
}

TEST_P(SentencePieceGoldenTest, DecodesEveryIdListAsTheReferenceDoes) {
  const auto tokenizer = LoadGoldenModel(GetParam());
  const Json cases = GoldenCases(GetParam());

  ASSERT_EQ(cases["decode"].size(), 72u);
  for (const Json& item : cases["decode"]) {
    EXPECT_EQ(tokenizer->Decode(item["ids"].get<std::vector<TokenId>>()),
              item["text"].get<std::string>())
        << DumpJson(item);
  }
  for (const Json& item : cases["encode"]) {
    EXPECT_EQ(tokenizer->Decode(item["ids"].get<std::vector<TokenId>>()),
              item["decoded"].get<std::string>())
        << DumpJson(item);
  }
}

INSTANTIATE_TEST_SUITE_P(Models, SentencePieceGoldenTest, testing::ValuesIn(kGoldenModels));

}  // namespace
}  // namespace dragoman::model
