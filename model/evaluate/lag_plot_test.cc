#include "model/evaluate/lag_plot.h"

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace dragoman::model {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string Result(const std::string& policy, double bleu, double al, double laal,
                   const std::string& language = "de") {
  return absl::StrCat(R"({"model": "m", "target_language": ")", language, R"(", "policy": ")",
                      policy, R"(", "bleu": )", bleu, R"(, "al": )", al, R"(, "laal": )", laal,
                      R"(, "nested": {"a": 1}})", "\n");
}

TEST(LagPlotTest, ReadsObjectsOneAfterAnother) {
  const auto points = ReadLagPoints(
      "f.json", Result("wait-k:3", 20.5, 2, 3) + Result("sentence", 30, 6, 6.5), LagMeasure::kLaal);
  ASSERT_TRUE(points.ok()) << points.status();
  ASSERT_EQ(points->size(), 2u);
  EXPECT_EQ((*points)[0].policy, "wait-k:3");
  EXPECT_EQ((*points)[0].bleu, 20.5);
  EXPECT_EQ((*points)[0].lag, 3);
  EXPECT_EQ((*points)[1].lag, 6.5);
  EXPECT_EQ(ReadLagPoints("f.json", Result("wait-k:3", 20.5, 2, 3), LagMeasure::kAl)->at(0).lag, 2);
}

TEST(LagPlotTest, NamesTheFileAndTheFieldThatIsMissing) {
  for (const auto& [text, field] : std::vector<std::pair<std::string, std::string>>{
           {R"({"target_language": "de", "policy": "sentence", "bleu": 1, "laal": 1})", "model"},
           {R"({"model": "m", "target_language": "de", "policy": 3, "bleu": 1})", "policy"},
           {R"({"model": "m", "target_language": "de", "policy": "sentence", "laal": 1})", "bleu"},
           {R"({"model": "m", "target_language": "de", "policy": "sentence", "bleu": 1})", "laal"},
           {"{]}", "f.json"},
           {"", "holds no JSON"}}) {
    const auto points = ReadLagPoints("f.json", text, LagMeasure::kLaal);
    ASSERT_FALSE(points.ok()) << text;
    EXPECT_THAT(std::string(points.status().message()), HasSubstr("f.json"));
    EXPECT_THAT(std::string(points.status().message()), HasSubstr(field));
  }
}

TEST(LagPlotTest, DrawsAPanelALanguageAndALineAKind) {
  const auto points = ReadLagPoints(
      "f.json",
      Result("wait-k:5", 30, 5, 5) + Result("wait-k:1", 20, 1, 1) + Result("sentence", 32, 7, 7) +
          Result("adaptive:0.5:1:8", 29, 3, 3) + Result("wait-k:3", 41, 3, 3, "fr"),
      LagMeasure::kLaal);
  ASSERT_TRUE(points.ok());
  const auto svg = DrawLagPlot(*points, LagMeasure::kLaal, "a < b & c");
  ASSERT_TRUE(svg.ok()) << svg.status();
  EXPECT_THAT(*svg, HasSubstr("a &lt; b &amp; c"));
  EXPECT_THAT(*svg, Not(HasSubstr("a < b")));
  EXPECT_THAT(*svg, HasSubstr("BLEU, de"));
  EXPECT_THAT(*svg, HasSubstr("BLEU, fr"));
  EXPECT_THAT(*svg, HasSubstr("stroke-dasharray"));
  EXPECT_THAT(*svg, HasSubstr("wait-k:1: BLEU 20.00 at 1.00 words"));
  // The points of a line go from left to right, whatever the order of the input was.
  EXPECT_LT(svg->find("wait-k:1: BLEU"), svg->find("wait-k:5: BLEU"));
  size_t lines = 0;
  for (size_t at = 0; (at = svg->find("<polyline", at)) != std::string::npos; ++at) ++lines;
  EXPECT_EQ(lines, 3u);
  EXPECT_EQ(svg->find("nan"), std::string::npos);
}

TEST(LagPlotTest, OnePointIsAPlotAndNoneIsAnError) {
  const auto points = ReadLagPoints("f", Result("wait-k:3", 20, 2, 3), LagMeasure::kLaal);
  const auto svg = DrawLagPlot(*points, LagMeasure::kLaal, "one");
  ASSERT_TRUE(svg.ok());
  EXPECT_EQ(svg->find("nan"), std::string::npos);
  EXPECT_EQ(svg->find("inf"), std::string::npos);
  EXPECT_FALSE(DrawLagPlot({}, LagMeasure::kLaal, "none").ok());
}

}  // namespace
}  // namespace dragoman::model
