#include "model/policy/policy.h"

#include <gtest/gtest.h>

namespace dragoman::model {
namespace {

PolicyView View(int64_t next_word, int64_t visible_units, bool ended) {
  return {.next_word = next_word, .visible_units = visible_units, .ended = ended};
}

TEST(WaitKPolicyTest, WritesWordJOnceKPlusJMinusOneUnitsAreVisible) {
  for (int64_t k = 1; k <= 10; ++k) {
    const WaitKPolicy policy(k);
    for (int64_t j = 1; j <= 12; ++j) {
      for (int64_t c = 0; c <= 24; ++c) {
        const Decision expected = c >= k + j - 1 ? Decision::kWrite : Decision::kRead;
        EXPECT_EQ(policy.Decide(View(j, c, false)), expected)
            << "k " << k << " j " << j << " c " << c;
      }
    }
  }
}

TEST(WaitKPolicyTest, AlwaysWritesAfterTheEndOfTheSource) {
  const WaitKPolicy policy(64);
  EXPECT_EQ(policy.Decide(View(1, 2, true)), Decision::kWrite);
  EXPECT_EQ(policy.Decide(View(50, 2, true)), Decision::kWrite);
}

TEST(WaitKPolicyTest, CatchUpReadsOneWordLessForEveryFewTargetWords) {
  const WaitKPolicy policy(3, 1, 0.25);
  // k + j - 1 - floor(j / 4)
  const std::vector<int64_t> needed = {3, 4, 5, 5, 6, 7, 8, 8, 9, 10, 11, 11};
  for (int64_t j = 1; j <= 12; ++j) {
    EXPECT_EQ(policy.Decide(View(j, needed[j - 1] - 1, false)), Decision::kRead) << j;
    EXPECT_EQ(policy.Decide(View(j, needed[j - 1], false)), Decision::kWrite) << j;
  }
}

TEST(WaitKPolicyTest, CatchUpOfAnInexactFractionCountsWholeProducts) {
  const WaitKPolicy policy(1, 1, 0.29);
  // 0.29 * 100 is less than 29 in double.
  EXPECT_EQ(policy.Decide(View(100, 71, false)), Decision::kWrite);
  EXPECT_EQ(policy.Decide(View(100, 70, false)), Decision::kRead);
}

TEST(WaitKPolicyTest, CatchUpOfOneStillWaitsForTheFirstWord) {
  const WaitKPolicy policy(1, 1, 1);
  EXPECT_EQ(policy.Decide(View(1, 0, false)), Decision::kRead);
  EXPECT_EQ(policy.Decide(View(1, 1, false)), Decision::kWrite);
  EXPECT_EQ(policy.Decide(View(20, 1, false)), Decision::kWrite);
}

TEST(WaitKPolicyTest, StrideWritesAGroupOfWordsThenReadsAsMany) {
  const WaitKPolicy policy(2, 3);
  const std::vector<int64_t> needed = {2, 2, 2, 5, 5, 5, 8, 8, 8};
  for (int64_t j = 1; j <= 9; ++j) {
    EXPECT_EQ(policy.Decide(View(j, needed[j - 1] - 1, false)), Decision::kRead) << j;
    EXPECT_EQ(policy.Decide(View(j, needed[j - 1], false)), Decision::kWrite) << j;
  }
}

TEST(WaitKPolicyTest, AGroupCatchesUpAsItsFirstWordDoes) {
  const WaitKPolicy policy(3, 2, 0.5);
  // k + f - 1 - floor(f / 2) of the first word f of the group: 1, 3, 5.
  const std::vector<int64_t> needed = {3, 3, 4, 4, 5, 5};
  for (int64_t j = 1; j <= 6; ++j) {
    EXPECT_EQ(policy.Decide(View(j, needed[j - 1] - 1, false)), Decision::kRead) << j;
    EXPECT_EQ(policy.Decide(View(j, needed[j - 1], false)), Decision::kWrite) << j;
  }
}

TEST(SentencePolicyTest, WritesOnlyAfterTheEndOfTheSource) {
  const SentencePolicy policy;
  EXPECT_EQ(policy.Decide(View(1, 100, false)), Decision::kRead);
  EXPECT_EQ(policy.Decide(View(1, 1, true)), Decision::kWrite);
  EXPECT_EQ(policy.Decide(View(200, 3, true)), Decision::kWrite);
}

TEST(AdaptivePolicyTest, DraftsBetweenItsLags) {
  const AdaptivePolicy policy(0.8, 2, 6);
  EXPECT_EQ(policy.Decide(View(3, 3, false)), Decision::kRead);   // lag 1
  EXPECT_EQ(policy.Decide(View(3, 4, false)), Decision::kDraft);  // lag 2
  EXPECT_EQ(policy.Decide(View(3, 7, false)), Decision::kDraft);  // lag 5
  EXPECT_EQ(policy.Decide(View(3, 8, false)), Decision::kWrite);  // lag 6
  EXPECT_EQ(policy.Decide(View(3, 2, true)), Decision::kWrite);
}

TEST(AdaptivePolicyTest, TheThresholdFallsToHalf) {
  const AdaptivePolicy policy(0.8, 2, 6);
  const auto accepts = [&](int64_t lag, float confidence) {
    const Draft draft{.tokens = {5, 6}, .word_ends = {2}, .confidence = confidence};
    return policy.AcceptWords(View(1, lag, false), {&draft, 1}) == 1;
  };
  EXPECT_TRUE(accepts(2, 0.81f));
  EXPECT_FALSE(accepts(2, 0.79f));
  EXPECT_TRUE(accepts(4, 0.61f));
  EXPECT_FALSE(accepts(4, 0.59f));
  EXPECT_TRUE(accepts(5, 0.51f));
  EXPECT_FALSE(accepts(5, 0.49f));
}

TEST(LocalAgreementPolicyTest, DraftsAfterEveryStepFromTheSecondUnitOn) {
  const LocalAgreementPolicy policy(2, 3);
  PolicyView view = View(1, 4, false);
  for (int64_t units = 0; units <= 5; ++units) {
    view.units_since_draft = units;
    EXPECT_EQ(policy.Decide(view), units >= 3 ? Decision::kDraft : Decision::kRead) << units;
  }
  view.visible_units = 1;
  EXPECT_EQ(policy.Decide(view), Decision::kRead);
  EXPECT_EQ(policy.Decide(View(1, 4, true)), Decision::kWrite);
}

TEST(LocalAgreementPolicyTest, AcceptsWordsWhoseNextStartIsCommonToo) {
  const LocalAgreementPolicy policy(2, 1);
  const Draft former{.tokens = {1, 2, 3, 4, 9}, .word_ends = {2, 3, 4}};
  const auto accepted = [&](const Draft& newest) {
    const std::vector<Draft> drafts = {former, newest};
    return policy.AcceptWords(View(1, 2, false), drafts);
  };
  EXPECT_EQ(accepted({.tokens = {1, 2, 3, 4, 8}, .word_ends = {2, 3, 4}}), 2u);
  EXPECT_EQ(accepted({.tokens = {1, 2, 7}, .word_ends = {2}}), 0u);
  // The end of the target is no start of a word.
  EXPECT_EQ(accepted({.tokens = {1, 2, 3, 4, 9}, .word_ends = {2, 3, 4, 5}}), 3u);
  EXPECT_EQ(accepted({.tokens = {}, .word_ends = {0}}), 0u);
  EXPECT_EQ(policy.AcceptWords(View(1, 2, false), {&former, 1}), 0u);
}

TEST(AlignAttPolicyTest, DraftsOnceAWordLiesBeforeTheLastOnes) {
  const AlignAttPolicy policy(2);
  EXPECT_EQ(policy.Decide(View(1, 2, false)), Decision::kRead);
  EXPECT_EQ(policy.Decide(View(1, 3, false)), Decision::kDraft);
  EXPECT_EQ(policy.Decide(View(9, 3, false)), Decision::kDraft);
  EXPECT_EQ(policy.Decide(View(1, 2, true)), Decision::kWrite);
}

TEST(AlignAttPolicyTest, KeepsTokensThatLookBehindTheLastWords) {
  const AlignAttPolicy policy(2);
  EXPECT_TRUE(policy.KeepsToken(View(1, 5, false), 3));
  EXPECT_FALSE(policy.KeepsToken(View(1, 5, false), 4));
  EXPECT_FALSE(policy.KeepsToken(View(1, 5, false), 5));
  EXPECT_TRUE(policy.KeepsToken(View(1, 5, true), 5));
  for (int64_t word = 1; word <= 5; ++word) {
    EXPECT_TRUE(AlignAttPolicy(0).KeepsToken(View(1, 5, false), word)) << word;
    EXPECT_FALSE(AlignAttPolicy(5).KeepsToken(View(1, 5, false), word)) << word;
  }
}

TEST(MostAttendedWordTest, SumsTheTokensOfAWordAndTakesTheFirstOfEquals) {
  const std::vector<int32_t> ends = {0, 1, 3, 4};
  EXPECT_EQ(MostAttendedWord(std::vector<float>{0.3f, 0.2f, 0.2f, 0.1f}, ends), 2);
  EXPECT_EQ(MostAttendedWord(std::vector<float>{0.25f, 0.125f, 0.125f, 0.25f}, ends), 1);
  EXPECT_EQ(MostAttendedWord(std::vector<float>{0.1f, 0, 0, 0.2f}, ends), 3);
}

TEST(MostAttendedWordTest, WithoutAnyAttentionItIsTheNewestWord) {
  const std::vector<int32_t> ends = {0, 1, 3, 4};
  EXPECT_EQ(MostAttendedWord(std::vector<float>(4, 0.0f), ends), 3);
}

TEST(ParsePolicyTest, ReadsEveryNameThatAPolicyGivesItself) {
  for (const std::string name :
       {"wait-k:1", "wait-k:3", "wait-k:64", "wait-k:3:2", "wait-k:3:1:0.25", "wait-k:64:64:1",
        "align-att:0", "align-att:1", "align-att:64", "sentence", "adaptive:0.5:1:8",
        "adaptive:0:2:2", "adaptive:3:1:64", "local-agreement:2:1", "local-agreement:8:64"}) {
    const auto policy = ParsePolicy(name);
    ASSERT_TRUE(policy.ok()) << policy.status();
    EXPECT_EQ((*policy)->name(), name);
  }
}

TEST(ParsePolicyTest, LeavesOutOptionsThatAreOff) {
  EXPECT_EQ((*ParsePolicy("wait-k:3:1"))->name(), "wait-k:3");
  EXPECT_EQ((*ParsePolicy("wait-k:3:1:0"))->name(), "wait-k:3");
  EXPECT_EQ((*ParsePolicy("wait-k:3:2:0.0"))->name(), "wait-k:3:2");
}

TEST(ParsePolicyTest, RefusesWhatItDoesNotKnowAndListsWhatItKnows) {
  for (const std::string name : {"",
                                 "wait-k",
                                 "wait-k:",
                                 "wait-k:0",
                                 "wait-k:65",
                                 "wait-k:-1",
                                 "wait-k: 3",
                                 "wait-k:+3",
                                 "wait-k:03",
                                 "wait-k:3x",
                                 "wait-k:3:0",
                                 "wait-k:3:65",
                                 "wait-k:3:1:1.5",
                                 "wait-k:3:1:-0.5",
                                 "wait-k:3:1:",
                                 "wait-k:3:1:0.5:1",
                                 "align-att",
                                 "align-att:",
                                 "align-att:-1",
                                 "align-att:00",
                                 "align-att:65",
                                 "align-att:2:1",
                                 "adaptive",
                                 "adaptive:",
                                 "adaptive:x",
                                 "adaptive:-1",
                                 "adaptive:nan",
                                 "adaptive:5",
                                 "adaptive:0.5:2",
                                 "adaptive:0.5:3:2",
                                 "adaptive:0.5:0:2",
                                 "local-agreement",
                                 "local-agreement:1",
                                 "local-agreement:9",
                                 "local-agreement:2:0",
                                 "local-agreement:2:1:1",
                                 "sentence:1",
                                 "wait-k:99999999999999999999",
                                 "Sentence",
                                 "sentence "}) {
    const auto policy = ParsePolicy(name);
    ASSERT_FALSE(policy.ok()) << name;
    EXPECT_EQ(policy.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_NE(std::string(policy.status().message()).find("wait-k:K"), std::string::npos);
    EXPECT_NE(std::string(policy.status().message()).find("sentence"), std::string::npos);
  }
}

}  // namespace
}  // namespace dragoman::model
