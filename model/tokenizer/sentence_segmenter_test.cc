#include "model/tokenizer/sentence_segmenter.h"

#include <gtest/gtest.h>

namespace dragoman::model {
namespace {

TEST(SentenceSegmenterTest, EndMarksWithClosingQuotesEndASentence) {
  for (const char* word :
       {"end.", "end?", "end!", "end…", "end...", "你好。", "完！", "吗？", "end.\"", "end.“",
        "end.”", "end.)", "fin.»", "end!?", "(end.)", "ende.«"}) {
    EXPECT_TRUE(EndsSentence(word, "en")) << word;
  }
}

TEST(SentenceSegmenterTest, OtherWordsDoNot) {
  for (const char* word : {"word", "word,", "3.14", "a.b", "\"", ".word", "", "end.x", "»"}) {
    EXPECT_FALSE(EndsSentence(word, "en")) << word;
  }
}

TEST(SentenceSegmenterTest, LettersAndNumbersWithAPointDoNot) {
  for (const char* word : {"J.", "z.", "É.", "(B.", "3.", "24.12.", "1,250."}) {
    EXPECT_FALSE(EndsSentence(word, "de")) << word;
  }
  EXPECT_TRUE(EndsSentence("3!", "de"));
}

TEST(SentenceSegmenterTest, AbbreviationsBelongToTheirLanguage) {
  EXPECT_FALSE(EndsSentence("Dr.", "en"));
  EXPECT_FALSE(EndsSentence("(e.g.", "en"));
  EXPECT_FALSE(EndsSentence("usw.", "de-AT"));
  EXPECT_FALSE(EndsSentence("z.B.", "de"));
  EXPECT_FALSE(EndsSentence("M.", "fr"));
  EXPECT_FALSE(EndsSentence("Mme.", "fr"));
  EXPECT_FALSE(EndsSentence("Sra.", "es"));
  EXPECT_FALSE(EndsSentence("Pág.", "es"));
  EXPECT_TRUE(EndsSentence("usw.", "en"));
  EXPECT_TRUE(EndsSentence("Dr.", "xx"));
}

TEST(SentenceSegmenterTest, SoftLimitCutsAtACommaAndHardLimitAnywhere) {
  SentenceSegmenter segmenter("en", {});
  for (int i = 1; i < 48; ++i) EXPECT_EQ(segmenter.Add("word,"), WordCut::kNone) << i;
  EXPECT_EQ(segmenter.Add("word,"), WordCut::kLength);
  EXPECT_EQ(segmenter.words(), 0u);
  for (int i = 1; i < 64; ++i) EXPECT_EQ(segmenter.Add("word"), WordCut::kNone) << i;
  EXPECT_EQ(segmenter.Add("word"), WordCut::kLength);
}

TEST(SentenceSegmenterTest, AnEndMarkAtTheLimitIsABoundary) {
  SegmentRules rules;
  rules.hard_words = 2;
  SentenceSegmenter segmenter("en", rules);
  segmenter.Add("one");
  EXPECT_EQ(segmenter.Add("two."), WordCut::kBoundary);
}

TEST(SentenceSegmenterTest, WithoutAutomaticOnlyTheHardLimitHolds) {
  SegmentRules rules;
  rules.automatic = false;
  rules.soft_words = 1;
  rules.hard_words = 3;
  SentenceSegmenter segmenter("en", rules);
  EXPECT_EQ(segmenter.Add("one."), WordCut::kNone);
  EXPECT_EQ(segmenter.Add("two,"), WordCut::kNone);
  EXPECT_EQ(segmenter.Add("three"), WordCut::kLength);
}

TEST(SentenceSegmenterTest, RestartCountsAnew) {
  SegmentRules rules;
  rules.hard_words = 2;
  SentenceSegmenter segmenter("en", rules);
  segmenter.Add("one");
  segmenter.Restart();
  EXPECT_EQ(segmenter.Add("one"), WordCut::kNone);
}

}  // namespace
}  // namespace dragoman::model
