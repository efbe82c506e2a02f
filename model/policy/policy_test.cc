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

TEST(SentencePolicyTest, WritesOnlyAfterTheEndOfTheSource) {
  const SentencePolicy policy;
  EXPECT_EQ(policy.Decide(View(1, 100, false)), Decision::kRead);
  EXPECT_EQ(policy.Decide(View(1, 1, true)), Decision::kWrite);
  EXPECT_EQ(policy.Decide(View(200, 3, true)), Decision::kWrite);
}

TEST(ParsePolicyTest, ReadsEveryNameThatAPolicyGivesItself) {
  for (const std::string name : {"wait-k:1", "wait-k:3", "wait-k:64", "sentence"}) {
    const auto policy = ParsePolicy(name);
    ASSERT_TRUE(policy.ok()) << policy.status();
    EXPECT_EQ((*policy)->name(), name);
  }
}

TEST(ParsePolicyTest, RefusesWhatItDoesNotKnowAndListsWhatItKnows) {
  for (const std::string name :
       {"", "wait-k", "wait-k:", "wait-k:0", "wait-k:65", "wait-k:-1", "wait-k: 3", "wait-k:+3",
        "wait-k:03", "wait-k:3x", "wait-k:99999999999999999999", "Sentence", "sentence "}) {
    const auto policy = ParsePolicy(name);
    ASSERT_FALSE(policy.ok()) << name;
    EXPECT_EQ(policy.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_NE(std::string(policy.status().message()).find("wait-k:K"), std::string::npos);
    EXPECT_NE(std::string(policy.status().message()).find("sentence"), std::string::npos);
  }
}

}  // namespace
}  // namespace dragoman::model
