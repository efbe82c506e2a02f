#include "model/tokenizer/split_pattern.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/tokenizer/tokenizer_test_support.h"

namespace dragoman::model {
namespace {

using testing::ElementsAre;

TEST(SplitPatternTest, Gpt2KeepsTheBlankBeforeAWord) {
  EXPECT_THAT(SplitByPattern(SplitPattern::kGpt2, "Hello world!! It's 2024\n\n ok"),
              ElementsAre("Hello", " world", "!!", " It", "'s", " 2024", "\n\n", " ok"));
}

TEST(SplitPatternTest, Gpt2LeavesTheLastBlankOfARunToTheWord) {
  EXPECT_THAT(SplitByPattern(SplitPattern::kGpt2, "a   b  "), ElementsAre("a", "  ", " b", "  "));
  EXPECT_THAT(SplitByPattern(SplitPattern::kGpt2, "a\tb"), ElementsAre("a", "\t", "b"));
}

TEST(SplitPatternTest, Gpt2ContractionsAreLowerCaseOnly) {
  EXPECT_THAT(SplitByPattern(SplitPattern::kGpt2, "we'll WE'LL"),
              ElementsAre("we", "'ll", " WE", "'", "LL"));
}

TEST(SplitPatternTest, Qwen2TakesOneDigitAtATime) {
  EXPECT_THAT(SplitByPattern(SplitPattern::kQwen2, "in 2024."),
              ElementsAre("in", " ", "2", "0", "2", "4", "."));
}

TEST(SplitPatternTest, Llama3TakesUpToThreeDigits) {
  EXPECT_THAT(SplitByPattern(SplitPattern::kLlama3, "12345 x"), ElementsAre("123", "45", " x"));
}

TEST(SplitPatternTest, Qwen2ContractionsInAnyCase) {
  EXPECT_THAT(SplitByPattern(SplitPattern::kQwen2, "WE'LL don'T"),
              ElementsAre("WE", "'LL", " don", "'T"));
}

TEST(SplitPatternTest, Qwen2LettersTakeOneMarkBeforeThem) {
  EXPECT_THAT(SplitByPattern(SplitPattern::kQwen2, "(word) \tname"),
              ElementsAre("(word", ")", " ", "\tname"));
}

TEST(SplitPatternTest, Qwen2MarksTakeTheLineEndsAfterThem) {
  EXPECT_THAT(SplitByPattern(SplitPattern::kQwen2, "end.\n\nNext \n  x"),
              ElementsAre("end", ".\n\n", "Next", " \n", " ", " x"));
}

TEST(SplitPatternTest, LettersOfAllScriptsAreLetters) {
  EXPECT_THAT(SplitByPattern(SplitPattern::kQwen2, "Straße 中文 नमस्ते"),
              ElementsAre("Straße", " 中文", " नमस", "्त", "े"));
}

TEST(SplitPatternTest, PartsJoinToTheWholeText) {
  RandomStream random(12345, "split");
  for (int round = 0; round < 500; ++round) {
    const std::string text = RandomText(&random, random.NextBelow(60));
    for (const SplitPattern pattern :
         {SplitPattern::kGpt2, SplitPattern::kLlama3, SplitPattern::kQwen2}) {
      std::string joined;
      for (const std::string_view part : SplitByPattern(pattern, text)) {
        EXPECT_FALSE(part.empty());
        joined += part;
      }
      EXPECT_EQ(joined, text);
    }
  }
}

TEST(SplitPatternTest, KnowsOnlyItsPatterns) {
  EXPECT_EQ(FindSplitPattern(kQwen2Regex), SplitPattern::kQwen2);
  EXPECT_EQ(FindSplitPattern(kLlama3Regex), SplitPattern::kLlama3);
  EXPECT_FALSE(FindSplitPattern("(a+)+$").has_value());
}

}  // namespace
}  // namespace dragoman::model
