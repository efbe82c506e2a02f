#include "model/evaluate/run_table.h"

#include "gtest/gtest.h"
#include "model/metrics/bleu.h"

namespace dragoman::model {
namespace {

// 40 lines of five words; every `wrong`-th line has a false word in the middle.
DecodedRun MakeRun(const std::string& system, const std::string& policy, int64_t seed, int wrong) {
  DecodedRun run;
  run.target_language = "de";
  run.system = run.inference = system;
  run.policy = policy;
  run.seed = seed;
  run.al = static_cast<double>(seed);
  run.rows_per_word = 2;
  for (int i = 0; i < 40; ++i) {
    const std::string n = absl::StrCat("w", i);
    run.references.push_back("ein " + n + " Haus am See .");
    run.hypotheses.push_back(i % wrong == 0 ? "ein " + n + " Hund am See ." : run.references[i]);
  }
  return run;
}

TEST(RunTableTest, SeedsOfOneSystemShareARowWithTheMeanOfTheirScores) {
  const auto rows = TabulateRuns(
      {MakeRun("group", "wait-k:3", 1, 4), MakeRun("group", "wait-k:3", 2, 8)}, "group");

  ASSERT_TRUE(rows.ok()) << rows.status();
  ASSERT_EQ(rows->size(), 1u);
  const RunTableRow& row = rows->front();
  EXPECT_EQ(row.seeds, (std::vector<int64_t>{1, 2}));
  EXPECT_NEAR(row.al, 1.5, 1e-12);
  EXPECT_NEAR(row.bleu, (row.least_bleu + row.greatest_bleu) / 2, 1e-9);
  const DecodedRun second = MakeRun("group", "wait-k:3", 2, 8);
  EXPECT_NEAR(row.greatest_bleu, CorpusBleu(second.hypotheses, second.references)->score, 1e-9);
  EXPECT_LT(row.bleu_interval.low, row.bleu);
  EXPECT_GT(row.bleu_interval.high, row.bleu);
  EXPECT_FALSE(row.compared);
}

TEST(RunTableTest, ComparesWithTheBaselineOfTheSamePolicyOverCommonSeeds) {
  const auto rows = TabulateRuns(
      {MakeRun("group", "wait-k:3", 1, 100), MakeRun("interleaved", "wait-k:3", 1, 2),
       MakeRun("interleaved", "wait-k:3", 2, 3), MakeRun("interleaved", "wait-k:1", 1, 2)},
      "group");

  ASSERT_TRUE(rows.ok()) << rows.status();
  ASSERT_EQ(rows->size(), 3u);
  EXPECT_EQ((*rows)[0].policy, "wait-k:1");
  EXPECT_FALSE((*rows)[0].compared);
  const RunTableRow& row = (*rows)[2];
  EXPECT_EQ(row.system, "interleaved");
  EXPECT_TRUE(row.compared);
  EXPECT_EQ(row.common_seeds, 1u);
  EXPECT_LT(row.difference, -10);
  EXPECT_LT(row.p_value, 0.05);
}

TEST(RunTableTest, EqualSystemsDoNotDiffer) {
  DecodedRun same = MakeRun("batch_streaming", "wait-k:3", 1, 5);
  const auto rows = TabulateRuns({MakeRun("group", "wait-k:3", 1, 5), same}, "group");

  ASSERT_TRUE(rows.ok()) << rows.status();
  EXPECT_NEAR((*rows)[1].difference, 0, 1e-12);
  EXPECT_EQ((*rows)[1].p_value, 1);
  EXPECT_NE(RunTableMarkdown(*rows, "group").find("batch_streaming"), std::string::npos);
}

TEST(RunTableTest, ARunGivenTwiceIsRefused) {
  const DecodedRun run = MakeRun("group", "wait-k:3", 1, 5);
  DecodedRun other = run;
  other.seed = 2;
  other.references[0] = "anders";

  EXPECT_EQ(TabulateRuns({run, run}, "group").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(TabulateRuns({run, other}, "group").status().code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace dragoman::model
