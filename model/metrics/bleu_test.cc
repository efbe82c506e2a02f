#include "model/metrics/bleu.h"

#include <gtest/gtest.h>

#include "base/json.h"

namespace dragoman::model {
namespace {

Json ReadGolden() {
  return ReadJsonFile(std::string(DRAGOMAN_SOURCE_DIR) + "/tests/golden/metrics/bleu_chrf.json")
      .value();
}

TEST(BleuTest, M1_ScoresEqualStoredSacreBleuValues) {
  const Json golden = ReadGolden();
  int scored = 0;
  for (const Json& item : golden["cases"]) {
    if (item["references"].size() != 1 || item["bleu"].is_null()) continue;
    SCOPED_TRACE(item["id"].get<std::string>());
    const auto hypotheses = item["hypotheses"].get<std::vector<std::string>>();
    const auto references = item["references"][0].get<std::vector<std::string>>();

    const BleuScore score = CorpusBleu(hypotheses, references).value();

    const Json& expected = item["bleu"];
    EXPECT_NEAR(score.score, expected["score"].get<double>(), 1e-9);
    EXPECT_NEAR(score.brevity_penalty, expected["bp"].get<double>(), 1e-9);
    EXPECT_EQ(score.statistics.hypothesis_tokens, expected["sys_len"].get<int64_t>());
    EXPECT_EQ(score.statistics.reference_tokens, expected["ref_len"].get<int64_t>());
    for (size_t n = 0; n < kBleuOrders; ++n) {
      EXPECT_EQ(score.statistics.matches[n], expected["counts"][n].get<int64_t>());
      EXPECT_EQ(score.statistics.totals[n], expected["totals"][n].get<int64_t>());
      EXPECT_NEAR(score.precisions[n], expected["precisions"][n].get<double>(), 1e-9);
    }
    const auto signature = expected["signature"].get<std::string>();
    EXPECT_EQ(signature.substr(0, kBleuSignature.size()), kBleuSignature);
    ++scored;
  }
  EXPECT_GE(scored, 45);
}

TEST(BleuTest, M1_TokensEqualStored13aTokens) {
  const Json golden = ReadGolden();
  int lines = 0;
  for (const Json& item : golden["cases"]) {
    if (!item.contains("tokenized_13a") || item["tokenized_13a"].is_null()) continue;
    for (size_t i = 0; i < item["hypotheses"].size(); ++i) {
      std::string joined;
      for (const std::string& token : Tokenize13a(item["hypotheses"][i].get<std::string>())) {
        if (!joined.empty()) joined += ' ';
        joined += token;
      }

      EXPECT_EQ(joined, item["tokenized_13a"]["hypotheses"][i].get<std::string>())
          << item["id"].get<std::string>();
      ++lines;
    }
  }
  EXPECT_GE(lines, 60);
}

TEST(BleuTest, RefusesUnequalNumbersOfLines) {
  const std::vector<std::string> two = {"a", "b"};
  const std::vector<std::string> one = {"a"};

  EXPECT_EQ(CorpusBleu(two, one).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(BleuTest, TellsLanguagesThat13aCannotTokenise) {
  EXPECT_FALSE(BleuFitsLanguage("zh"));
  EXPECT_FALSE(BleuFitsLanguage("zh-TW"));
  EXPECT_FALSE(BleuFitsLanguage("ja"));
  EXPECT_TRUE(BleuFitsLanguage("de"));
  EXPECT_TRUE(BleuFitsLanguage("en-US"));
}

}  // namespace
}  // namespace dragoman::model
