#include "model/evaluate/word_aligner.h"

#include <gtest/gtest.h>

#include "absl/strings/str_split.h"

namespace dragoman::model {
namespace {

WordPair Pair(const std::string& source, const std::string& target) {
  return {absl::StrSplit(source, ' ', absl::SkipEmpty()),
          absl::StrSplit(target, ' ', absl::SkipEmpty())};
}

using Alignment = std::vector<int64_t>;

TEST(WordAlignerTest, LearnsWordsAgainstTheDiagonal) {
  // The verb stands last in the target; other pairs say which words belong together.
  const auto aligned = AlignWords({Pair("I have read books", "ich habe Bücher gelesen"),
                                   Pair("I read", "ich gelesen"), Pair("have books", "habe Bücher"),
                                   Pair("books", "Bücher"), Pair("read", "gelesen"),
                                   Pair("have", "habe"), Pair("I", "ich")});

  EXPECT_EQ(aligned[0], (Alignment{0, 1, 3, 2}));
}

TEST(WordAlignerTest, FollowsTheDiagonalWhereWordsSayNothing) {
  EXPECT_EQ(AlignWords({Pair("a b c d e f", "u v w x y z")})[0], (Alignment{0, 1, 2, 3, 4, 5}));
}

TEST(WordAlignerTest, IgnoresCaseAndPunctuationAtTheEnds) {
  // Neighbours are crossed; only words that are the same in both spellings can show it.
  const auto aligned = AlignWords({Pair("Dogs bark, cats sleep.", "Bellen Hunde, schlafen Katzen."),
                                   Pair("dogs", "Hunde"), Pair("bark", "bellen"),
                                   Pair("cats", "katzen!"), Pair("sleep", "Schlafen")});

  EXPECT_EQ(aligned[0], (Alignment{1, 0, 3, 2}));
}

TEST(WordAlignerTest, EmptySidesHaveNoAlignment) {
  const auto aligned = AlignWords({Pair("", ""), Pair("", "a b"), Pair("a", "")});

  EXPECT_EQ(aligned[0], Alignment{});
  EXPECT_EQ(aligned[1], (Alignment{-1, -1}));
  EXPECT_EQ(aligned[2], Alignment{});
}

}  // namespace
}  // namespace dragoman::model
