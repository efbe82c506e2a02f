#include "model/evaluate/log_plot.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace dragoman::model {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(LogPlotTest, TenfoldIsOneDistanceEverywhere) {
  const auto svg = DrawLogPlot({{"words", "ms", {{"once", {{1, 5}, {10, 5}, {100, 5}}}}}}, "t");
  ASSERT_TRUE(svg.ok()) << svg.status();
  // Axis from 62 to 386, 5 % of two powers of ten beyond either end.
  EXPECT_THAT(*svg, HasSubstr("cx='76.7'"));
  EXPECT_THAT(*svg, HasSubstr("cx='224.0'"));
  EXPECT_THAT(*svg, HasSubstr("cx='371.3'"));
}

TEST(LogPlotTest, ANameHasOneColourInAllPanels) {
  const auto svg = DrawLogPlot(
      {{"x", "y", {{"a<b", {{1, 1}}}, {"c", {{2, 2}}}}}, {"x", "z", {{"c", {{2, 2}, {3, 9}}}}}},
      "Cost & length");
  ASSERT_TRUE(svg.ok()) << svg.status();
  EXPECT_THAT(*svg, HasSubstr("Cost &amp; length"));
  EXPECT_THAT(*svg, HasSubstr("a&lt;b"));
  const std::string second = svg->substr(svg->find(">z<"));
  EXPECT_THAT(second, HasSubstr("stroke='#c8553d'"));
  EXPECT_THAT(second.substr(0, second.find("<rect")), Not(HasSubstr("#1b6ca8")));
}

TEST(LogPlotTest, RefusesWhatHasNoLogarithm) {
  EXPECT_TRUE(absl::IsInvalidArgument(DrawLogPlot({}, "t").status()));
  EXPECT_TRUE(absl::IsInvalidArgument(DrawLogPlot({{"x", "y", {}}}, "t").status()));
  const auto zero = DrawLogPlot({{"x", "y", {{"once", {{0, 1}}}}}}, "t");
  EXPECT_THAT(std::string(zero.status().message()), HasSubstr("once: 0, 1"));
}

}  // namespace
}  // namespace dragoman::model
