#include "model/corpus/read_write_plan.h"

#include "gtest/gtest.h"

namespace dragoman::model {
namespace {

// The worked example of streaming.md section 2.
Sample ExampleSample() {
  Sample sample;
  sample.source = {1, 2, 3, 4, 5};
  sample.source_words = {1, 2, 2};
  sample.target = {11, 12, 13, 14, 15, 16};
  sample.target_words = {1, 2, 3};
  return sample;
}

TEST(ReadWritePlanTest, G8_WorkedExampleHasTheTableOfTheSpecification) {
  const Sample sample = ExampleSample();
  const auto visibility = [&](Schedule schedule) {
    return RowVisibility(sample, VisibleUnits(schedule, 3, 3), 1, 1);
  };

  EXPECT_EQ(visibility({Schedule::Kind::kWaitK, 1}), (std::vector<int32_t>{1, 3, 3, 5, 5, 5, 6}));
  EXPECT_EQ(visibility({Schedule::Kind::kWaitK, 2}), (std::vector<int32_t>{3, 5, 5, 6, 6, 6, 6}));
  EXPECT_EQ(visibility({Schedule::Kind::kFull, 0}), (std::vector<int32_t>(7, 6)));
}

TEST(ReadWritePlanTest, EarlyHeaderRowsSeeNoSource) {
  const std::vector<int32_t> rows =
      RowVisibility(ExampleSample(), VisibleUnits({Schedule::Kind::kWaitK, 1}, 3, 3), 3, 2);

  EXPECT_EQ(rows, (std::vector<int32_t>{0, 0, 1, 3, 3, 5, 5, 5, 7}));
}

TEST(ReadWritePlanTest, RandomPathsAreMonotoneAndStartSmall) {
  const ScheduleMix mix{0, 0, 1, 1, 10};
  for (uint64_t id = 0; id < 500; ++id) {
    RandomStream random(1, "test", 0, id);
    std::vector<int64_t> units;
    EXPECT_EQ(DrawSchedule(mix, 6, 8, &random, &units).kind, Schedule::Kind::kRandomPath);
    ASSERT_EQ(units.size(), 9u);
    EXPECT_GE(units[0], 1);
    EXPECT_LE(units[0], 4);
    for (size_t i = 1; i < units.size(); ++i) {
      EXPECT_GE(units[i], units[i - 1]);
      EXPECT_LE(units[i], std::min<int64_t>(units[i - 1] + 3, 7));
    }
  }
}

TEST(ReadWritePlanTest, MixHasItsShares) {
  const ScheduleMix mix;
  int full = 0, wait_k = 0;
  for (uint64_t id = 0; id < 20000; ++id) {
    RandomStream random(1, "mix", 0, id);
    std::vector<int64_t> units;
    const Schedule schedule = DrawSchedule(mix, 6, 8, &random, &units);
    full += schedule.kind == Schedule::Kind::kFull;
    wait_k += schedule.kind == Schedule::Kind::kWaitK;
  }
  EXPECT_NEAR(full, 4000, 200);
  EXPECT_NEAR(wait_k, 12000, 300);
}

}  // namespace
}  // namespace dragoman::model
