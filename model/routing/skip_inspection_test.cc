#include "model/routing/skip_inspection.h"

#include <cmath>

#include "gtest/gtest.h"

namespace dragoman::model {
namespace {

constexpr TokenId kWord = 0, kPiece = 1;

Router TwoLayers() {
  Router router;
  router.num_layers = 2;
  router.theta = {0.5f, -0.25f};
  return router;
}

// Forced rows stand on the target side here.
InspectedRow Row(RowGroup group, int32_t index, std::vector<uint8_t> gates,
                 std::vector<float> scores = {}) {
  InspectedRow row;
  row.token = kWord;
  row.group = group;
  row.side = group == RowGroup::kSource ? Side::kSource : Side::kTarget;
  row.index = index;
  row.gates = std::move(gates);
  row.scores = std::move(scores);
  return row;
}

SkipInspection InspectRows(const std::vector<InspectedStream>& streams) {
  return Inspect(streams, TwoLayers(), {TokenClass::kWordStart, TokenClass::kWordPiece});
}

TEST(SkipInspectionTest, PositionBucketsBeginAt16And64And256) {
  EXPECT_EQ(PositionBucket(0), 0u);
  EXPECT_EQ(PositionBucket(15), 0u);
  EXPECT_EQ(PositionBucket(16), 1u);
  EXPECT_EQ(PositionBucket(63), 1u);
  EXPECT_EQ(PositionBucket(64), 2u);
  EXPECT_EQ(PositionBucket(255), 2u);
  EXPECT_EQ(PositionBucket(256), 3u);
  EXPECT_EQ(PositionBucket(100000), 3u);
}

TEST(SkipInspectionTest, CountsDecisionsByGroupLayerModuleAndPlace) {
  const SkipInspection seen = InspectRows({{Row(RowGroup::kSource, 1, {kRunAttention, 0}),
                                            Row(RowGroup::kSource, 16, {kRunBoth, kRunMlp})},
                                           {Row(RowGroup::kTarget, 64, {kRunMlp, kRunBoth})}});

  EXPECT_EQ(seen.rows[0], 2);
  EXPECT_EQ(seen.rows[1], 1);
  EXPECT_EQ(seen.layer(0, 0, 0).rate(), 0);
  EXPECT_EQ(seen.layer(0, 0, 1).rate(), 0.5);
  EXPECT_EQ(seen.layer(0, 1, 0).rate(), 1);
  EXPECT_EQ(seen.layer(0, 1, 1).rate(), 0.5);
  EXPECT_EQ(seen.layer(1, 0, 0).rate(), 1);
  EXPECT_EQ(seen.layer(1, 1, 0).rate(), 0);
  EXPECT_EQ(seen.position(0, 0, 1, 0).skipped, 1);
  EXPECT_EQ(seen.position(0, 1, 1, 0).skipped, 1);
  EXPECT_EQ(seen.position(0, 1, 1, 1).skipped, 0);
  EXPECT_EQ(seen.position(1, 2, 0, 0).rows, 1);
  EXPECT_EQ(seen.position(1, 0, 0, 0).rows, 0);
}

TEST(SkipInspectionTest, ForcedRowsAreInNoTable) {
  const SkipInspection seen = InspectRows({{Row(RowGroup::kForced, 0, {kRunBoth, kRunBoth}),
                                            Row(RowGroup::kTarget, 1, {kRunBoth, kRunBoth})}});

  EXPECT_EQ(seen.forced_rows, 1);
  EXPECT_EQ(seen.rows[1], 1);
  EXPECT_EQ(seen.layer(1, 0, 0).rows, 1);
}

TEST(SkipInspectionTest, ARowAfterAReadCountsInItsOwnClassToo) {
  InspectedRow after = Row(RowGroup::kTarget, 1, {0, kRunBoth});
  after.after_read = true;
  InspectedRow piece = Row(RowGroup::kTarget, 2, {kRunBoth, kRunBoth});
  piece.token = kPiece;

  const SkipInspection seen = InspectRows({{after, piece}});

  const auto cell = [&](TokenClass which) {
    return seen.token_class(1, static_cast<size_t>(which), 1);
  };
  EXPECT_EQ(cell(TokenClass::kWordStart).rows, 2);  // one row, two layers
  EXPECT_EQ(cell(TokenClass::kWordStart).skipped, 1);
  EXPECT_EQ(cell(TokenClass::kFirstAfterRead).rows, 2);
  EXPECT_EQ(cell(TokenClass::kFirstAfterRead).skipped, 1);
  EXPECT_EQ(cell(TokenClass::kWordPiece).rows, 2);
  EXPECT_EQ(cell(TokenClass::kWordPiece).skipped, 0);
}

TEST(SkipInspectionTest, MarginsAreTakenFromTheThresholdOfTheRow) {
  const float nan = std::nanf("");
  InspectedRow row = Row(RowGroup::kTarget, 1, {kRunBoth, kRunBoth}, {-0.5f, 1.0f, nan, nan});
  InspectedRow other = Row(RowGroup::kTarget, 2, {kRunBoth, kRunBoth}, {-0.71875f, 0, nan, nan});
  other.skip_offset = -0.5f;  // threshold -0.75

  const SkipInspection seen = InspectRows({{row, other}});

  EXPECT_EQ(seen.layer(1, 0, 0).scored, 2);
  EXPECT_DOUBLE_EQ(seen.layer(1, 0, 0).mean_margin(), (0.25 + 0.03125) / 2);
  EXPECT_EQ(seen.layer(1, 0, 0).near, 1);
  EXPECT_EQ(seen.layer(1, 0, 0).near_share(), 0.5);
  EXPECT_DOUBLE_EQ(seen.layer(1, 0, 1).mean_margin(), (1.25 + 0.75) / 2);
  EXPECT_EQ(seen.layer(1, 1, 0).scored, 0);
  EXPECT_EQ(seen.layer(1, 1, 0).rows, 2);
}

TEST(SkipInspectionTest, UnionActivityOfAHandMadeCase) {
  // Three streams of one layer. Lanes of B = 2: streams 0 and 2, stream 1.
  const std::vector<InspectedStream> streams = {
      {Row(RowGroup::kForced, -1, {kRunBoth}), Row(RowGroup::kForced, 0, {kRunBoth}),
       Row(RowGroup::kTarget, 1, {0})},
      {Row(RowGroup::kSource, 1, {kRunBoth}), Row(RowGroup::kForced, 0, {kRunBoth}),
       Row(RowGroup::kTarget, 1, {kRunMlp}), Row(RowGroup::kTarget, 2, {0}),
       Row(RowGroup::kTarget, 3, {kRunBoth})},
      {Row(RowGroup::kTarget, 0, {kRunAttention})}};

  // Header rows and source rows are no decode rows: 2 + 4 + 1 of them.
  const UnionActivity one = PackStreams(streams, 1, 1);
  EXPECT_EQ(one.steps, 7);
  EXPECT_DOUBLE_EQ(one.active[0], 4.0 / 7);
  EXPECT_DOUBLE_EQ(one.active[1], 4.0 / 7);

  // Steps: (both, both), (none, MLP), (attention, none); lane 0 ends before lane 1.
  const UnionActivity two = PackStreams(streams, 2, 1);
  EXPECT_EQ(two.steps, 3);
  EXPECT_DOUBLE_EQ(two.active[0], 2.0 / 3);
  EXPECT_DOUBLE_EQ(two.active[1], 2.0 / 3);

  // A lane without a stream: no step with four streams.
  EXPECT_EQ(PackStreams(streams, 4, 1).steps, 0);
  EXPECT_EQ(PackStreams(streams, 4, 1).active[0], 0);
}

}  // namespace
}  // namespace dragoman::model
