#include "model/engine/segment_source.h"

#include <gtest/gtest.h>

namespace dragoman::model {
namespace {

TEST(SegmentSourceTest, UnitsEndWhereTheWorkedExampleSays) {
  // streaming.md section 2: tokens of 1, 2 and 2 for three words, then a marker of one token.
  SegmentSource source(10);
  source.AddWord(std::vector<TokenId>{8}, true);
  source.AddWord(std::vector<TokenId>{10, 11}, true);
  source.AddWord(std::vector<TokenId>{12, 13}, true);
  EXPECT_EQ(source.units(), 3);
  EXPECT_EQ(source.room_left(), 5);

  source.Close(std::vector<TokenId>{3}, SegmentCut::kBoundary, 7);

  const int32_t expected[] = {0, 1, 3, 5, 6};
  for (int32_t unit = 0; unit <= 4; ++unit) EXPECT_EQ(source.EndOfUnit(unit), expected[unit]);
  EXPECT_EQ(source.units(), 4);
  EXPECT_EQ(source.words(), 3);
  EXPECT_EQ(source.source_tokens(), 5);
  EXPECT_EQ(source.tokens(), (std::vector<TokenId>{8, 10, 11, 12, 13, 3}));
  EXPECT_EQ(source.client_id(), 7u);
  EXPECT_EQ(source.CompleteWords(4), 3);
  EXPECT_EQ(source.CompleteWords(2), 2);
}

TEST(SegmentSourceTest, APartOfAWordIsAUnitButNoCompleteWord) {
  SegmentSource source(2);
  source.AddWord(std::vector<TokenId>{8, 9}, false);
  source.Close(std::vector<TokenId>{3}, SegmentCut::kSourceFull, 0);
  EXPECT_EQ(source.words(), 1);
  EXPECT_EQ(source.CompleteWords(1), 0);
}

TEST(SegmentSourceTest, ResetBeginsAnew) {
  SegmentSource source(4);
  source.AddWord(std::vector<TokenId>{8, 9, 11}, true);
  source.Close(std::vector<TokenId>{3}, SegmentCut::kClient, 9);
  source.Reset();
  EXPECT_FALSE(source.closed());
  EXPECT_EQ(source.units(), 0);
  EXPECT_EQ(source.words(), 0);
  EXPECT_EQ(source.room_left(), 4);
  EXPECT_EQ(source.client_id(), 0u);
  EXPECT_TRUE(source.tokens().empty());
}

}  // namespace
}  // namespace dragoman::model
