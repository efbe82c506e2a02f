#include "model/evaluate/skip_heat_map.h"

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace dragoman::model {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

size_t Count(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = 0; (at = text.find(part, at)) != std::string::npos; at += part.size()) ++count;
  return count;
}

InspectedRow Row(Side side, RowGroup group, int32_t index, uint8_t gates) {
  InspectedRow row;
  row.token = index;
  row.side = side;
  row.group = group;
  row.index = index;
  row.gates = {gates, kRunBoth};
  return row;
}

InspectedStream TwoSides() {
  return {Row(Side::kSource, RowGroup::kForced, 0, kRunBoth),
          Row(Side::kSource, RowGroup::kSource, 1, kRunMlp),
          Row(Side::kTarget, RowGroup::kForced, 0, kRunBoth),
          Row(Side::kTarget, RowGroup::kTarget, 1, 0)};
}

std::string Draw(const InspectedStream& stream) {
  Router router;
  router.num_layers = 2;
  const SkipInspection seen = Inspect({stream}, router, {TokenClass::kTag, TokenClass::kTag});
  return DrawSkipHeatMap(
      stream, seen, [](TokenId id) { return absl::StrCat("<", id, ">"); }, "a & b");
}

TEST(SkipHeatMapTest, HasACellForEveryRowLayerAndModule) {
  const std::string svg = Draw(TwoSides());

  EXPECT_EQ(Count(svg, "class='forced'"), 2u * 2 * 2);
  EXPECT_EQ(Count(svg, "class='skip'"), 3u);
  EXPECT_EQ(Count(svg, "class='run'"), 2u * 2 * 2 - 3);
  // One bucket has rows: two groups, two modules, two layers.
  EXPECT_EQ(Count(svg, "class='bucket'"), 8u);
  EXPECT_EQ(Count(svg, "100%</text>"), 3u);
  EXPECT_EQ(Count(svg, "0%</text>"), 8u);
}

TEST(SkipHeatMapTest, SourceAndTargetStandApart) {
  const std::string svg = Draw(TwoSides());

  // Columns of 12 from 60 on, a gap of 18 between the sides.
  for (const char* x : {"x='60.0'", "x='72.0'", "x='102.0'", "x='114.0'"}) {
    EXPECT_EQ(Count(svg, absl::StrCat("class='forced' ", x)) +
                  Count(svg, absl::StrCat("class='run' ", x)) +
                  Count(svg, absl::StrCat("class='skip' ", x)),
              4u)
        << x;
  }
}

TEST(SkipHeatMapTest, ARowThatRanTwiceIsDrawnAsItRanLast) {
  InspectedStream stream = TwoSides();
  stream.push_back(Row(Side::kTarget, RowGroup::kTarget, 1, kRunBoth));

  const std::string svg = Draw(stream);

  EXPECT_EQ(Count(svg, "class='skip'"), 1u);
  EXPECT_EQ(Count(svg, "class='run'"), 7u);
}

TEST(SkipHeatMapTest, TextIsEscaped) {
  const std::string svg = Draw(TwoSides());

  EXPECT_THAT(svg, HasSubstr("a &amp; b"));
  EXPECT_THAT(svg, HasSubstr("&lt;1&gt;"));
  EXPECT_THAT(svg, Not(HasSubstr("<1>")));
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
}

TEST(SkipHeatMapTest, AStreamWithoutRowsIsAPictureToo) {
  const std::string svg = Draw({});

  EXPECT_THAT(svg, HasSubstr("</svg>"));
  EXPECT_EQ(Count(svg, "class='run'"), 0u);
}

}  // namespace
}  // namespace dragoman::model
