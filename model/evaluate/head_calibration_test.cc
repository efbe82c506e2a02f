#include "model/evaluate/head_calibration.h"

#include <gtest/gtest.h>

#include "tests/support/fake_backbone/hash_backbone.h"

namespace dragoman::model {
namespace {

// Two source words of one and two tokens, two target words of two and one, crossed.
CalibrationPair CrossedPair(const FakeVocabulary& vocabulary) {
  return {vocabulary.layout, {{8, 10, 11}, {0, 1, 3}}, {{20, 21, 22}, {0, 2, 3}}, {1, 0}};
}

// A hash backbone whose head looks at source token `at(target tokens fed)`.
HashBackbone LooksAt(const FakeVocabulary& vocabulary, std::function<size_t(size_t)> at) {
  HashBackboneOptions options;
  options.traits = vocabulary.traits;
  options.end_of_target = vocabulary.layout.end_of_target;
  const size_t prompt = vocabulary.layout.prompt.size();
  const size_t header = vocabulary.layout.target_header.size();
  options.attention_script = [=](const HashRowView& row) {
    return prompt + at(row.target.size() - header);
  };
  return HashBackbone(std::move(options));
}

TEST(HeadCalibrationTest, CountsRowsThatLookWithinOneWordOfTheAlignedOne) {
  const FakeVocabulary vocabulary = MakeFakeVocabulary(64, 2, 2);
  CalibrationPair pair = CrossedPair(vocabulary);
  pair.source = {{8, 10, 11, 12, 14}, {0, 1, 3, 4, 5}};
  pair.alignment = {3, 0};
  // The rows that predict the three target tokens look at words 3, 1 and 1, counted from 0.
  HashBackbone backbone = LooksAt(vocabulary, [](size_t fed) { return fed == 0 ? 4u : 2u; });
  std::vector<HeadScore> scores = EveryHead(backbone.config());
  ASSERT_EQ(scores.size(), 1u);

  ASSERT_TRUE(ScoreHeads(&backbone, {&pair, 1}, std::span(scores)).ok());

  // 3 is 3; 1 is too far from 3; 1 is beside 0.
  EXPECT_EQ(scores[0].rows, 3);
  EXPECT_EQ(scores[0].hits, 2);
  EXPECT_EQ(backbone.Stats().open_streams, 0u);
}

TEST(HeadCalibrationTest, WordsWithoutAlignmentAndTheMarkerCountForNothing) {
  const FakeVocabulary vocabulary = MakeFakeVocabulary();
  CalibrationPair pair = CrossedPair(vocabulary);
  pair.source = {{8, 10, 11, 12}, {0, 1, 2, 3, 4}};
  pair.alignment = {-1, 3};
  // Most of the weight is on the marker, what is left says nothing about word 4.
  HashBackbone backbone = LooksAt(vocabulary, [](size_t) { return 4u; });
  std::vector<HeadScore> scores = EveryHead(backbone.config());

  ASSERT_TRUE(ScoreHeads(&backbone, {&pair, 1}, std::span(scores)).ok());

  EXPECT_EQ(scores[0].rows, 1);
}

TEST(HeadCalibrationTest, PairsTogetherAreCountedAsOneByOne) {
  const FakeVocabulary vocabulary = MakeFakeVocabulary(64, 3, 2);
  HashBackboneOptions options{.traits = vocabulary.traits};
  options.end_of_target = vocabulary.layout.end_of_target;
  HashBackbone backbone(std::move(options));
  std::vector<CalibrationPair> pairs(5, CrossedPair(vocabulary));
  for (size_t i = 0; i < pairs.size(); ++i) {
    pairs[i].source = {{8, 10, 11, 12, 14, 16}, {0, 1, 2, 3, 4, 6}};
    pairs[i].target.tokens[0] = static_cast<TokenId>(20 + 2 * i);
    pairs[i].alignment = {static_cast<int64_t>(i), 2};
  }
  std::vector<HeadScore> together = EveryHead(backbone.config()), apart = together;

  ASSERT_TRUE(ScoreHeads(&backbone, pairs, std::span(together)).ok());
  for (const CalibrationPair& pair : pairs) {
    ASSERT_TRUE(ScoreHeads(&backbone, {&pair, 1}, std::span(apart)).ok());
  }

  EXPECT_EQ(together[0].rows, 15);
  EXPECT_EQ(together[0].hits, apart[0].hits);
  EXPECT_EQ(backbone.Stats().open_streams, 0u);
}

TEST(HeadCalibrationTest, RefusesPairsWithoutWords) {
  const FakeVocabulary vocabulary = MakeFakeVocabulary();
  HashBackbone backbone = LooksAt(vocabulary, [](size_t) { return 0u; });
  std::vector<HeadScore> scores = EveryHead(backbone.config());
  CalibrationPair pair = CrossedPair(vocabulary);
  pair.target = {{}, {0}};
  pair.alignment = {};

  EXPECT_EQ(ScoreHeads(&backbone, {&pair, 1}, std::span(scores)).code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(HeadCalibrationTest, TheBestHeadsAreThoseWithTheHighestShare) {
  const std::vector<HeadScore> scores = {
      {{{0, 0}}, 10, 5}, {{{0, 1}}, 20, 18}, {{{1, 0}}, 10, 5}, {{{1, 1}}, 0, 0}};
  const std::vector<AttentionHead> best = BestHeads(scores, 3);

  EXPECT_EQ(best, (std::vector<AttentionHead>{{0, 1}, {0, 0}, {1, 0}}));
  EXPECT_EQ(BestHeads(scores, 9).size(), 4u);
}

}  // namespace
}  // namespace dragoman::model
