#include "model/corpus/augment.h"

#include <set>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace dragoman::model {
namespace {

using ::testing::HasSubstr;

SentencePair Pair(const std::string& source, const std::string& target) {
  SentencePair pair;
  pair.source_language = "en";
  pair.target_language = "de";
  pair.source = source;
  pair.target = target;
  pair.corpus = "tatoeba";
  return pair;
}

std::vector<SentencePair> Variants(const SentencePair& pair, int draws) {
  std::vector<SentencePair> variants;
  for (int i = 0; i < draws; ++i) {
    RandomStream random(1, "augment", 0, static_cast<uint64_t>(i));
    if (std::optional<SentencePair> variant = Augment(pair, &random)) {
      variants.push_back(*std::move(variant));
    }
  }
  return variants;
}

TEST(AugmentTest, ANameBecomesTheSameOtherThingOnBothSides) {
  const SentencePair pair = Pair("Tom bought 12 books.", "Tom kaufte 12 Bücher.");
  std::set<std::string> replaced;
  for (const SentencePair& variant : Variants(pair, 400)) {
    const std::string end = " kaufte 12 Bücher.";
    if (variant.target.size() <= end.size() ||
        variant.target.substr(variant.target.size() - end.size()) != end) {
      continue;
    }
    const std::string by = variant.target.substr(0, variant.target.size() - end.size());
    if (by == "Tom") continue;
    EXPECT_EQ(variant.source, by + " bought 12 books.");
    replaced.insert(by);
  }
  EXPECT_GT(replaced.size(), 100u);
}

TEST(AugmentTest, NumbersChangeOnBothSides) {
  int changed = 0;
  for (const SentencePair& variant :
       Variants(Pair("I have 12 books.", "Ich habe 12 Bücher."), 400)) {
    if (variant.source.find("12") != std::string::npos || variant.source[0] != 'I') continue;
    const std::string number =
        variant.source.substr(7, variant.source.size() - 7 - std::string(" books.").size());
    EXPECT_EQ(variant.target, "Ich habe " + number + " Bücher.");
    ++changed;
  }
  EXPECT_GT(changed, 40);
}

TEST(AugmentTest, SpeechIsLowerCaseWithoutMarksAndKeepsTheTarget) {
  int found = 0;
  for (const SentencePair& variant : Variants(Pair("Well, is it late?", "Na, ist es spät?"), 400)) {
    if (variant.source != "well is it late") continue;
    EXPECT_EQ(variant.target, "Na, ist es spät?");
    ++found;
  }
  EXPECT_GT(found, 5);
}

TEST(AugmentTest, NothingIsMadeOfWordsThatAreNotTheSameOnBothSides) {
  for (const SentencePair& variant :
       Variants(Pair("Germany has 3 lakes.", "Deutschland hat drei Seen."), 400)) {
    // Only what touches both sides alike, or the source's marks.
    const bool emoji = variant.target.size() > std::string("Deutschland hat drei Seen.").size();
    if (emoji) {
      EXPECT_THAT(variant.source, HasSubstr("Germany has 3 lakes."));
    } else {
      EXPECT_EQ(variant.source, "germany has 3 lakes");
    }
  }
}

TEST(AugmentTest, KeepsLanguageCorpusAndLicence) {
  for (const SentencePair& variant : Variants(Pair("Tom is here.", "Tom ist hier."), 50)) {
    EXPECT_EQ(variant.target_language, "de");
    EXPECT_EQ(variant.corpus, "tatoeba");
    EXPECT_TRUE(variant.may_ship);
  }
}

}  // namespace
}  // namespace dragoman::model
