#include "model/evaluate/skip_report.h"

#include <cmath>

#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace dragoman::model {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

// One layer; a source row that skips the MLP and a target row, after a read, that skips attention.
SkipReport SmallReport() {
  Router router;
  router.num_layers = 1;
  InspectedRow source;
  source.group = RowGroup::kSource;
  source.index = 20;
  source.gates = {kRunAttention};
  source.scores = {0.5f, -0.25f};
  InspectedRow target;
  target.side = Side::kTarget;
  target.group = RowGroup::kTarget;
  target.index = 1;
  target.after_read = true;
  target.gates = {kRunMlp};
  target.scores = {-0.03125f, 2.0f};
  SkipReport report;
  report.model = "tiny";
  report.policy = "wait-k:3";
  report.router_digest = "0123456789abcdef";
  report.router_kind = "linear";
  report.calibrated_rates = {0.25, 0.5};
  report.streams = 1;
  report.rates = {{0.5, 0.5}, {0.75, 0.25}, 0.375};
  report.inspection = Inspect({{source, target}}, router, {TokenClass::kDigit});
  return report;
}

TEST(SkipReportTest, CsvHasALineForEveryNumber) {
  const std::string csv = ToCsv(SmallReport());

  const std::vector<std::string> lines = absl::StrSplit(csv, '\n');
  // Heading; rates; layers, positions and classes; union activity; the end of the last line.
  EXPECT_EQ(lines.size(), 1u + 7 + 2 * 2 * (1 + 4 + 7) + 2 * 5 + 1);
  for (const std::string& line : lines) {
    if (!line.empty()) {
      EXPECT_EQ(std::count(line.begin(), line.end(), ','), 9) << line;
    }
  }
  EXPECT_EQ(lines[0], "table,group,module,layer,key,rows,skipped,rate,mean_margin,near_share");
  EXPECT_THAT(lines, Contains("rates,source,,,claimed,,,0.500000,,"));
  EXPECT_THAT(lines, Contains("rates,source,,,parameter,,,0.750000,,"));
  EXPECT_THAT(lines, Contains("rates,target,,,calibrated_parameter,,,0.500000,,"));
  EXPECT_THAT(lines, Contains("rates,,,,flops,,,0.375000,,"));
  EXPECT_THAT(lines, Contains("layers,source,mlp,0,,1,1,1.000000,0.250000,0.000000"));
  EXPECT_THAT(lines, Contains("layers,target,attention,0,,1,1,1.000000,0.031250,1.000000"));
  EXPECT_THAT(lines, Contains("positions,source,mlp,0,16-63,1,1,1.000000,0.250000,0.000000"));
  EXPECT_THAT(lines, Contains("positions,source,mlp,0,0-15,0,0,0.000000,,"));
  EXPECT_THAT(lines,
              Contains("token_classes,target,mlp,,first row after a read,1,0,0.000000,2.000000,"
                       "0.000000"));
  EXPECT_THAT(lines, Contains("union,,mlp,,1,1,,1.000000,,"));
  EXPECT_THAT(lines, Contains("union,,attention,,2,0,,,,"));
}

TEST(SkipReportTest, JsonHoldsTheSameNumbers) {
  const Json json = ToJson(SmallReport());

  EXPECT_EQ(json["router"]["kind"], "linear");
  EXPECT_EQ(json["rows"]["source"], 1);
  EXPECT_EQ(json["rates"]["claimed"]["source"], 0.5);
  EXPECT_EQ(json["rates"]["parameter"]["target"], 0.25);
  EXPECT_EQ(json["rates"]["flops"], 0.375);
  ASSERT_EQ(json["layers"].size(), 4u);
  const Json& cell = json["layers"][1];
  EXPECT_EQ(cell["group"], "source");
  EXPECT_EQ(cell["module"], "mlp");
  EXPECT_EQ(cell["layer"], "0");
  EXPECT_EQ(cell["skipped"], 1);
  EXPECT_EQ(cell["mean_margin"], 0.25);
  ASSERT_EQ(json["positions"].size(), 16u);
  ASSERT_EQ(json["token_classes"].size(), 28u);
  EXPECT_FALSE(json["token_classes"][0].contains("mean_margin")) << "no word starts";
  ASSERT_EQ(json["union_activity"].size(), 5u);
  EXPECT_EQ(json["union_activity"][0]["streams"], 1);
  EXPECT_EQ(json["union_activity"][0]["attention"], 0);
  EXPECT_EQ(json["union_activity"][0]["mlp"], 1);
  EXPECT_FALSE(json["union_activity"][1].contains("mlp")) << "no step of two streams";
  EXPECT_TRUE(ParseJson(DumpJson(json)).ok());
}

TEST(SkipReportTest, TextShowsTheThreeRatesTogether) {
  const std::string text = ToText(SmallReport());

  EXPECT_THAT(text, HasSubstr("linear router 0123456789ab, theta 1, wait-k:3, 1 streams"));
  EXPECT_THAT(text, HasSubstr("modules (r_mod)              50.0%     50.0%\n"
                              "parameters (r_par)           75.0%     25.0%\n"
                              "  at calibration             25.0%     50.0%\n"
                              "FLOPs (r_flop)                                   37.5%\n"));
  EXPECT_THAT(text,
              HasSubstr("digit                         0.0%    100.0%    100.0%      0.0%\n"));
  EXPECT_THAT(text,
              HasSubstr("256+                             -         -         -         -\n"));
}

}  // namespace
}  // namespace dragoman::model
