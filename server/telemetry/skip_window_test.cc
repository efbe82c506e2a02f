#include "server/telemetry/skip_window.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/api/gate_rule.h"
#include "tests/support/step_clock.h"

namespace dragoman::server {
namespace {

using std::chrono::seconds;
using ::testing::ElementsAre;

// One source row of a layer that runs `bits`.
model::SkipCounts OneRow(uint8_t bits) {
  std::vector<model::StepRow> rows(1);
  rows[0].group = model::RowGroup::kSource;
  model::SkipCounts counts;
  counts.Count(rows, std::vector<uint8_t>{bits}, 1);
  return counts;
}

TEST(SkipWindowTest, SumsWhatWasAddedInTheLastMinute) {
  testing::StepClock clock;  // begins at the border of a slot
  SkipWindow window(&clock, 1, 0.25);
  window.Add(OneRow(model::kRunAttention));
  clock.Advance(seconds(30));
  window.Add(OneRow(model::kRunMlp));

  EXPECT_THAT(window.LastMinute().rows, ElementsAre(2, 0));
  EXPECT_THAT(window.LastMinute().skipped, ElementsAre(1, 1, 0, 0));

  clock.Advance(seconds(29));
  EXPECT_THAT(window.LastMinute().rows, ElementsAre(2, 0));

  clock.Advance(seconds(1));
  EXPECT_THAT(window.LastMinute().rows, ElementsAre(1, 0));
  EXPECT_THAT(window.LastMinute().skipped, ElementsAre(1, 0, 0, 0));
}

TEST(SkipWindowTest, ASlotThatComesAroundBeginsAnew) {
  testing::StepClock clock;
  SkipWindow window(&clock, 1, 0.25);
  window.Add(OneRow(0));
  clock.Advance(seconds(60));

  window.Add(OneRow(model::kRunMlp));

  EXPECT_THAT(window.LastMinute().rows, ElementsAre(1, 0));
  EXPECT_THAT(window.LastMinute().skipped, ElementsAre(1, 0, 0, 0));
}

TEST(SkipWindowTest, TheCalibratedRateWeighsModulesByTheirParameters) {
  testing::StepClock clock;
  SkipWindow window(&clock, 1, 0.25);
  window.Add(OneRow(model::kRunMlp));
  window.Add(OneRow(0));

  // Attention skipped in both rows, the MLP in one.
  EXPECT_DOUBLE_EQ(window.CalibratedRate(window.LastMinute(), 0), 0.25 + 0.75 / 2);
}

}  // namespace
}  // namespace dragoman::server
