#include "model/tokenizer/sentencepiece_tokenizer.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/file.h"
#include "base/json.h"

namespace dragoman::model {
namespace {

std::string GoldenPath(const std::string& name) {
  return std::string(DRAGOMAN_SOURCE_DIR) + "/tests/golden/tokenizer/" + name;
}

struct GoldenModel {
  Json cases;
  std::unique_ptr<SentencePieceTokenizer> tokenizer;
};

GoldenModel LoadGolden(const std::string& name) {
  GoldenModel golden;
  const Json all = ReadJsonFile(GoldenPath("cases.json")).value();
  for (const Json& model : all["models"]) {
    if (model["model"].get<std::string>() == name) golden.cases = model;
  }
  golden.tokenizer = SentencePieceTokenizer::Create(ReadFile(GoldenPath(name)).value()).value();
  return golden;
}

class SentencePieceGoldenTest : public testing::TestWithParam<const char*> {};

TEST_P(SentencePieceGoldenTest, EncodesEveryStringAsTheReferenceDoes) {
  const GoldenModel golden = LoadGolden(GetParam());

  ASSERT_EQ(golden.cases["encode"].size(), 121u);
  for (const Json& item : golden.cases["encode"]) {
    const auto text = item["text"].get<std::string>();

    EXPECT_EQ(golden.tokenizer->Encode(text), item["ids"].get<std::vector<TokenId>>()) << text;
  }
}

TEST_P(SentencePieceGoldenTest, DecodesEveryIdListAsTheReferenceDoes) {
  const GoldenModel golden = LoadGolden(GetParam());

  ASSERT_EQ(golden.cases["decode"].size(), 72u);
  for (const Json& item : golden.cases["decode"]) {
    EXPECT_EQ(golden.tokenizer->Decode(item["ids"].get<std::vector<TokenId>>()),
              item["text"].get<std::string>())
        << DumpJson(item);
  }
  for (const Json& item : golden.cases["encode"]) {
    EXPECT_EQ(golden.tokenizer->Decode(item["ids"].get<std::vector<TokenId>>()),
              item["decoded"].get<std::string>())
        << DumpJson(item);
  }
}

INSTANTIATE_TEST_SUITE_P(Models, SentencePieceGoldenTest,
                         testing::Values("unigram_nfkc.model", "bpe_identity.model"));

}  // namespace
}  // namespace dragoman::model
