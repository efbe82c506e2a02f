#include "base/random.h"

#include "gtest/gtest.h"

namespace dragoman {
namespace {

TEST(RandomStreamTest, DrawsDependOnEveryPartOfTheKey) {
  const uint64_t first = RandomStream(1, "k", 0, 0).NextBits();

  EXPECT_EQ(RandomStream(1, "k", 0, 0).NextBits(), first);
  EXPECT_NE(RandomStream(2, "k", 0, 0).NextBits(), first);
  EXPECT_NE(RandomStream(1, "j", 0, 0).NextBits(), first);
  EXPECT_NE(RandomStream(1, "k", 1, 0).NextBits(), first);
  EXPECT_NE(RandomStream(1, "k", 0, 1).NextBits(), first);
}

TEST(RandomStreamTest, BoundedDrawsAreUniform) {
  RandomStream random(7, "uniform");
  int counts[10] = {};
  for (int i = 0; i < 100000; ++i) ++counts[random.NextBelow(10)];
  for (const int count : counts) EXPECT_NEAR(count, 10000, 400);
}

}  // namespace
}  // namespace dragoman
