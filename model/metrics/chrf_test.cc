#include "model/metrics/chrf.h"

#include <gtest/gtest.h>

#include "base/json.h"

namespace dragoman::model {
namespace {

TEST(ChrfTest, M1_ScoresEqualStoredSacreBleuValues) {
  const Json golden =
      ReadJsonFile(std::string(DRAGOMAN_SOURCE_DIR) + "/tests/golden/metrics/bleu_chrf.json")
          .value();
  int scored = 0;
  for (const Json& item : golden["cases"]) {
    if (item["references"].size() != 1) continue;
    SCOPED_TRACE(item["id"].get<std::string>());
    const auto hypotheses = item["hypotheses"].get<std::vector<std::string>>();
    const auto references = item["references"][0].get<std::vector<std::string>>();

    ChrfStatistics sum;
    for (size_t i = 0; i < hypotheses.size(); ++i) sum += CollectChrf(hypotheses[i], references[i]);

    const Json& expected = item["chrf2"];
    EXPECT_NEAR(CorpusChrf(hypotheses, references).value(), expected["score"].get<double>(), 1e-9);
    for (size_t n = 0; n < kChrfOrders; ++n) {
      const Json& order = expected["hyp_ref_match_per_order"][n];
      EXPECT_EQ(sum.orders[n].hypothesis, order[0].get<int64_t>());
      EXPECT_EQ(sum.orders[n].reference, order[1].get<int64_t>());
      EXPECT_EQ(sum.orders[n].matches, order[2].get<int64_t>());
    }
    ++scored;
  }
  EXPECT_EQ(scored, 50);
}

TEST(ChrfTest, RefusesUnequalNumbersOfLines) {
  const std::vector<std::string> two = {"a", "b"};
  const std::vector<std::string> one = {"a"};

  EXPECT_EQ(CorpusChrf(two, one).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(ChrfTest, CountsBrokenBytesAsCharacters) {
  const ChrfStatistics statistics = CollectChrf("a\xFF z", "a\xFFz");

  EXPECT_EQ(statistics.orders[0].matches, 3);
  EXPECT_EQ(statistics.orders[2].matches, 1);
}

}  // namespace
}  // namespace dragoman::model
