#include "model/decode/stop_rules.h"

#include <gtest/gtest.h>

#include <vector>

namespace dragoman::model {
namespace {

TEST(StopRulesTest, TargetMayHaveTwiceTheSourceTokensPlusSlack) {
  const StopLimits limits;
  EXPECT_TRUE(TargetLengthAllowed(limits, 0, 20));
  EXPECT_FALSE(TargetLengthAllowed(limits, 0, 21));
  EXPECT_TRUE(TargetLengthAllowed(limits, 7, 34));
  EXPECT_FALSE(TargetLengthAllowed(limits, 7, 35));
}

TEST(StopRulesTest, TargetMayBeTwentyWordsAheadOfTheVisibleSource) {
  const StopLimits limits;
  EXPECT_TRUE(WordsAheadAllowed(limits, 20, 0));
  EXPECT_FALSE(WordsAheadAllowed(limits, 21, 0));
  EXPECT_TRUE(WordsAheadAllowed(limits, 25, 5));
  EXPECT_FALSE(WordsAheadAllowed(limits, 26, 5));
}

TEST(StopRulesTest, WordIsFullAtTwentyFourTokens) {
  const StopLimits limits;
  EXPECT_FALSE(WordIsFull(limits, 23));
  EXPECT_TRUE(WordIsFull(limits, 24));
}

// Feeds `prefix` and then the group again and again; returns how many tokens of the repetition were
// accepted before the guard spoke.
int AcceptedTokens(std::vector<TokenId> target, const std::vector<TokenId>& group) {
  for (int count = 0; count < 100; ++count) {
    const TokenId next = group[count % group.size()];
    if (ClosesLoop(target, next)) return count;
    target.push_back(next);
  }
  return 100;
}

TEST(StopRulesTest, LoopNeedsThreeRepeatsAndTwelveTokens) {
  const std::vector<TokenId> prefix = {100, 101, 102};
  const int expected[] = {12, 12, 12, 12,
                          15, 18, 21, 24};  // tokens of a closed loop per group size
  for (int size = 1; size <= 8; ++size) {
    std::vector<TokenId> group;
    for (int i = 0; i < size; ++i) group.push_back(10 + i);
    EXPECT_EQ(AcceptedTokens(prefix, group), expected[size - 1] - 1) << "group of " << size;
    EXPECT_EQ(AcceptedTokens({}, group), expected[size - 1] - 1) << "group of " << size;
  }
}

TEST(StopRulesTest, GroupsOfNineAreNoLoop) {
  EXPECT_EQ(AcceptedTokens({}, {1, 2, 3, 4, 5, 6, 7, 8, 9}), 100);
}

TEST(StopRulesTest, ABrokenRepetitionIsNoLoop) {
  const std::vector<TokenId> target = {1, 2, 3, 4, 1, 2, 9, 4, 1, 2, 3};
  EXPECT_FALSE(ClosesLoop(target, 4));
}

}  // namespace
}  // namespace dragoman::model
