#include "model/native/row_set.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace dragoman::model {
namespace {

using ::testing::ElementsAre;

// Four rows, two layers; in layer 1 rows 0 and 2 run module 1.
const std::vector<uint8_t> kGates = {3, 1, 3, 2, 3, 3, 3, 0};

TEST(RowSetTest, GathersTheRowsThatRun) {
  RowSet set;
  set.Select(kGates, 4, 2, 1, 1, /*gather=*/true);
  EXPECT_EQ(set.path(), ExecPath::kGather);
  EXPECT_EQ(set.count, 2);
  EXPECT_THAT(set.rows, ElementsAre(0, 2));

  const std::vector<float> hidden = {1, 2, 3, 4, 5, 6, 7, 8};
  std::vector<float> gathered(4), back = hidden;
  set.CopyOut(hidden.data(), 2, gathered.data());
  EXPECT_THAT(gathered, ElementsAre(1, 2, 5, 6));
  for (float& value : gathered) value += 10;
  set.CopyBack(gathered.data(), 2, back.data());
  EXPECT_THAT(back, ElementsAre(11, 12, 3, 4, 15, 16, 7, 8));
}

TEST(RowSetTest, MaskedComputesAllAndKeepsThoseThatRun) {
  RowSet set;
  set.Select(kGates, 4, 2, 1, 1, /*gather=*/false);
  EXPECT_EQ(set.path(), ExecPath::kMasked);
  EXPECT_EQ(set.count, 4);
  EXPECT_FALSE(set.in_place());

  const std::vector<float> computed = {11, 12, 13, 14};
  std::vector<float> hidden = {1, 2, 3, 4};
  set.CopyBack(computed.data(), 1, hidden.data());
  EXPECT_THAT(hidden, ElementsAre(11, 2, 13, 4));
}

TEST(RowSetTest, NoneAndAll) {
  RowSet set;
  set.Select(std::vector<uint8_t>{0, 0}, 2, 1, 0, 1, true);
  EXPECT_EQ(set.path(), ExecPath::kEmpty);
  set.Select(std::vector<uint8_t>{1, 1}, 2, 1, 0, 1, true);
  EXPECT_EQ(set.path(), ExecPath::kDense);
  EXPECT_TRUE(set.in_place());
  set.SelectAll(5);
  EXPECT_EQ(set.count, 5);
  EXPECT_TRUE(set.in_place());
}

}  // namespace
}  // namespace dragoman::model
