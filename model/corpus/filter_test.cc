#include "model/corpus/filter.h"

#include "gtest/gtest.h"

namespace dragoman::model {
namespace {

SentencePair Pair(const std::string& source, const std::string& target) {
  return {"en", "de", source, target, "test", true};
}

TEST(PairFilterTest, CountsEveryReason) {
  FilterOptions options;
  options.may_ship_only = true;
  options.max_words = 5;
  PairFilter filter(options);
  SentencePair unshippable = Pair("a b", "c d");
  unshippable.may_ship = false;

  EXPECT_EQ(filter.Check(Pair("good morning", "guten Morgen")), "");
  EXPECT_EQ(filter.Check(Pair("Good morning!", "guten Morgen")), "duplicate");
  EXPECT_EQ(filter.Check(unshippable), "may_not_ship");
  EXPECT_EQ(filter.Check(Pair("", "x")), "empty");
  EXPECT_EQ(filter.Check(Pair("a b c d e f", "x y")), "too_long");
  EXPECT_EQ(filter.Check(Pair("same", "same")), "copy");
  EXPECT_EQ(filter.Check(Pair("a", "x y z u v")), "length_ratio");
  EXPECT_EQ(filter.drops().at("duplicate"), 1u);
  EXPECT_EQ(filter.drops().size(), 6u);
}

TEST(PairFilterTest, ExcludesSentencesOneWordAway) {
  PairFilter filter({});
  filter.Exclude("The cat sat on the mat.");

  EXPECT_EQ(filter.Check(Pair("the cat sat on the mat", "eins zwei drei vier 1")), "near_excluded");
  EXPECT_EQ(filter.Check(Pair("The dog sat on the mat.", "eins zwei drei vier 2")),
            "near_excluded");  // replaced
  EXPECT_EQ(filter.Check(Pair("The cat sat on a the mat.", "eins zwei drei vier 3")),
            "near_excluded");  // added
  EXPECT_EQ(filter.Check(Pair("The cat sat on mat.", "eins zwei drei vier 4")),
            "near_excluded");                                                           // removed
  EXPECT_EQ(filter.Check(Pair("The dog sat on a mat.", "eins zwei drei vier 5")), "");  // two away
}

TEST(FoldWordsTest, FoldsCasePunctuationAndApostrophes) {
  EXPECT_EQ(FoldWords("Don't stop, ÉCOLE – naïve!"),
            (std::vector<std::string>{"dont", "stop", "école", "naïve"}));
}

}  // namespace
}  // namespace dragoman::model
