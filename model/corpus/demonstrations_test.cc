#include "model/corpus/demonstrations.h"

#include <algorithm>

#include "gtest/gtest.h"
#include "model/corpus/prepare.h"

namespace dragoman::model {
namespace {

class DemonstrationTest : public testing::Test {
 protected:
  DemonstrationTest() : tokenizer_(Load()) {
    const char* sources[] = {
        "I like red apples.",         "I like green apples.", "I like red apples.",
        "You like red cars.",         "The train is late.",   "The train was late.",
        "The bus was late.",          "We like red apples.",  "I like red apples!",
        "Nobody knows why it is so.",
    };
    for (size_t i = 0; i < std::size(sources); ++i) {
      Sample sample;
      sample.id = i;
      EncodeWords(*tokenizer_, sources[i], &sample.source, &sample.source_words);
      // Samples 0 and 7 share their target.
      EncodeWords(*tokenizer_, i == 7 ? "Ziel 0" : "Ziel " + std::to_string(i), &sample.target,
                  &sample.target_words);
      samples_.push_back(std::move(sample));
    }
  }
  static std::unique_ptr<Tokenizer> Load() {
    auto tokenizer = LoadTokenizer(std::string(DRAGOMAN_SOURCE_DIR) + "/tests/golden/corpus");
    EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
    return std::move(*tokenizer);
  }

  const std::unique_ptr<Tokenizer> tokenizer_;
  std::vector<Sample> samples_;
};

TEST_F(DemonstrationTest, T6_PairsNeverShareSourceOrTargetWithTheirSample) {
  const DemonstrationIndex index(&samples_, *tokenizer_, {.share = 1.0, .max_similarity = 1.0});

  size_t found = 0;
  for (uint32_t i = 0; i < samples_.size(); ++i) {
    for (const uint32_t other : index.Nearest(i, 5)) {
      EXPECT_NE(samples_[other].source, samples_[i].source) << i << " and " << other;
      EXPECT_NE(samples_[other].target, samples_[i].target) << i << " and " << other;
      ++found;
    }
  }
  EXPECT_GT(found, 20u);
}

TEST_F(DemonstrationTest, FindsTheNearestAndLeavesOutNearCopies) {
  const DemonstrationIndex index(&samples_, *tokenizer_, {.share = 1.0, .max_similarity = 0.7});

  EXPECT_EQ(index.Nearest(4, 1), (std::vector<uint32_t>{5}));
  const std::vector<uint32_t> apples = index.Nearest(0, 5);
  // "I like red apples!" is too similar, 2 is the same sentence, 7 has the same target.
  EXPECT_EQ(std::count(apples.begin(), apples.end(), 8), 0);
  EXPECT_EQ(std::count(apples.begin(), apples.end(), 2), 0);
  EXPECT_EQ(std::count(apples.begin(), apples.end(), 7), 0);
  EXPECT_EQ(std::count(apples.begin(), apples.end(), 1), 1);
}

TEST_F(DemonstrationTest, TheShareIsKept) {
  const DemonstrationIndex index(&samples_, *tokenizer_, {.share = 0.25});
  int with = 0;
  for (uint64_t epoch = 0; epoch < 1000; ++epoch) with += !index.Draw(1, epoch, 0).empty();
  EXPECT_NEAR(with, 250, 45);
}

TEST_F(DemonstrationTest, PromptHoldsThePairsBeforeItsLastToken) {
  const std::vector<TokenId> prompt =
      PromptWithDemonstrations({1, 10, 3}, {&samples_[4]}, {.begin = 90, .between = 91, .end = 92});

  std::vector<TokenId> expected = {1, 10, 90};
  expected.insert(expected.end(), samples_[4].source.begin(), samples_[4].source.end());
  expected.push_back(91);
  expected.insert(expected.end(), samples_[4].target.begin(), samples_[4].target.end());
  expected.insert(expected.end(), {92, 3});
  EXPECT_EQ(prompt, expected);
}

}  // namespace
}  // namespace dragoman::model
