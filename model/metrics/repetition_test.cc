#include "model/metrics/repetition.h"

#include "gtest/gtest.h"

namespace dragoman::model {
namespace {

TEST(RepetitionTest, CountsNgramsThatWereThereBefore) {
  // Bigrams: a b, b a, a b, b a: two of four.
  EXPECT_DOUBLE_EQ(RepetitionRate({"a b a b a"}, 2), 0.5);
  EXPECT_DOUBLE_EQ(RepetitionRate({"a b c d e"}, 2), 0);
}

TEST(RepetitionTest, IsTheMeanOfTheLinesThatAreLongEnough) {
  EXPECT_DOUBLE_EQ(RepetitionRate({"a a a", "a b c", "a", ""}, 2), 0.25);
  EXPECT_DOUBLE_EQ(RepetitionRate({"a"}, 2), 0);
  EXPECT_DOUBLE_EQ(RepetitionRate({}, 4), 0);
}

}  // namespace
}  // namespace dragoman::model
