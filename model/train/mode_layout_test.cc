#include "model/train/mode_layout.h"

#include <algorithm>

#include "gtest/gtest.h"
#include "model/corpus/read_write_plan.h"
#include "model/train/train_test_data.h"

namespace dragoman::model {
namespace {

// The worked example of streaming.md section 2: p = 3, e = 1, h = 1, phi = 0.
Sample ExampleSample() {
  Sample sample;
  sample.source = {10, 11, 12, 13, 14};  // The | cat s | sleep .
  sample.source_words = {1, 2, 2};
  sample.target = {20, 21, 22, 23, 24, 25};  // Die | Kat zen | schlaf en .
  sample.target_words = {1, 2, 3};
  return sample;
}

StreamLayout ExampleLayout() {
  StreamLayout layout;
  layout.prompt = {1, 2, 3};
  layout.source_end = {4};
  layout.target_header = {5};
  layout.end_of_target = 6;
  layout.max_positions = 64;
  return layout;
}

ModeExample LayExample(StreamMode mode, int64_t k,
                       GroupPositions positions = GroupPositions::kAll) {
  const Schedule schedule{k > 0 ? Schedule::Kind::kWaitK : Schedule::Kind::kFull, k};
  return LaySample(mode, positions, ExampleSample(), ExampleLayout(), VisibleUnits(schedule, 3, 3));
}

std::vector<int32_t> Positions(const std::vector<ModeRow>& rows) {
  std::vector<int32_t> positions;
  for (const ModeRow& row : rows) positions.push_back(row.position);
  return positions;
}

std::vector<int32_t> SourceEnds(const std::vector<ModeRow>& rows) {
  std::vector<int32_t> ends;
  for (const ModeRow& row : rows) ends.push_back(row.source_end);
  return ends;
}

std::vector<int32_t> TargetEnds(const std::vector<ModeRow>& rows) {
  std::vector<int32_t> ends;
  for (const ModeRow& row : rows) ends.push_back(row.target_end);
  return ends;
}

using Ints = std::vector<int32_t>;

TEST(ModeLayoutTest, GroupGivesTheTableOfTheSpecification) {
  const ModeExample example = LayExample(StreamMode::kGroup, 1);

  EXPECT_EQ(Positions(example.rows.source), (Ints{0, 1, 2, 3, 4, 5, 6, 7, 8}));
  EXPECT_EQ(Positions(example.rows.target), (Ints{0, 1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(SourceEnds(example.rows.target), (Ints{4, 6, 6, 8, 8, 8, 9}));  // p + src_vis
  EXPECT_EQ(TargetEnds(example.rows.source), (Ints{0, 0, 0, 0, 0, 0, 0, 0, 0}));
  ASSERT_EQ(example.labels.size(), 7u);
  for (size_t i = 0; i < example.labels.size(); ++i) {
    EXPECT_FALSE(example.labels[i].source_side);
    EXPECT_EQ(example.labels[i].row, static_cast<int32_t>(i));
    EXPECT_EQ(example.labels[i].label, i < 6 ? ExampleSample().target[i] : 6);
  }
}

TEST(ModeLayoutTest, AblationsKeepTokensOfASideAtOnePosition) {
  const ModeExample source = LayExample(StreamMode::kGroup, 1, GroupPositions::kNoSource);
  const ModeExample target = LayExample(StreamMode::kGroup, 1, GroupPositions::kNoTarget);
  const ModeExample none = LayExample(StreamMode::kGroup, 1, GroupPositions::kNone);

  EXPECT_EQ(Positions(source.rows.source), (Ints{0, 1, 2, 3, 3, 3, 3, 3, 3}));
  EXPECT_EQ(Positions(source.rows.target), (Ints{0, 1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(Positions(target.rows.source), (Ints{0, 1, 2, 3, 4, 5, 6, 7, 8}));
  EXPECT_EQ(Positions(target.rows.target), (Ints{0, 0, 0, 0, 0, 0, 0}));
  EXPECT_EQ(Positions(none.rows.source), Positions(source.rows.source));
  EXPECT_EQ(Positions(none.rows.target), Positions(target.rows.target));
}

TEST(ModeLayoutTest, BatchModesCountOnBehindTheMarker) {
  const ModeExample batch = LayExample(StreamMode::kBatch, 1);
  const ModeExample streaming = LayExample(StreamMode::kBatchStreaming, 1);

  EXPECT_EQ(Positions(batch.rows.target), (Ints{9, 10, 11, 12, 13, 14, 15}));
  EXPECT_EQ(SourceEnds(batch.rows.target), (Ints{9, 9, 9, 9, 9, 9, 9}));
  EXPECT_EQ(Positions(streaming.rows.target), Positions(batch.rows.target));
  EXPECT_EQ(SourceEnds(streaming.rows.target), (Ints{4, 6, 6, 8, 8, 8, 9}));
}

TEST(ModeLayoutTest, ReusedRowsKeepThePositionAtWhichTheyWereFed) {
  const ModeExample reuse = LayExample(StreamMode::kReuse, 1);
  const ModeExample repositioned = LayExample(StreamMode::kRepositioned, 1);

  EXPECT_EQ(Positions(reuse.rows.target), (Ints{4, 7, 8, 11, 12, 13, 15}));
  EXPECT_EQ(SourceEnds(reuse.rows.target), (Ints{4, 6, 6, 8, 8, 8, 9}));
  EXPECT_EQ(Positions(repositioned.rows.target), Positions(reuse.rows.target));
  EXPECT_EQ(repositioned.rows.target[3].target_position, 3);
}

TEST(ModeLayoutTest, InterleavedCountsArrivalsAndSourceRowsSeeTheTarget) {
  const ModeExample example = LayExample(StreamMode::kInterleaved, 1);

  // P P P H The Die cat s Kat zen sleep . schlaf en . marker
  EXPECT_EQ(Positions(example.rows.source), (Ints{0, 1, 2, 4, 6, 7, 10, 11, 15}));
  EXPECT_EQ(Positions(example.rows.target), (Ints{3, 5, 8, 9, 12, 13, 14}));
  EXPECT_EQ(TargetEnds(example.rows.source), (Ints{0, 0, 0, 1, 2, 2, 4, 4, 7}));
  EXPECT_EQ(SourceEnds(example.rows.target), (Ints{3, 4, 6, 6, 8, 8, 8}));
}

TEST(ModeLayoutTest, InterleavedSourceDiffersInWhatSourceRowsSeeAlone) {
  const ModeExample both = LayExample(StreamMode::kInterleaved, 2);
  const ModeExample blind = LayExample(StreamMode::kInterleavedSource, 2);

  EXPECT_EQ(Positions(blind.rows.source), Positions(both.rows.source));
  EXPECT_EQ(Positions(blind.rows.target), Positions(both.rows.target));
  EXPECT_EQ(SourceEnds(blind.rows.target), SourceEnds(both.rows.target));
  EXPECT_EQ(TargetEnds(blind.rows.source), (Ints{0, 0, 0, 0, 0, 0, 0, 0, 0}));
  ASSERT_EQ(blind.labels.size(), both.labels.size());
}

TEST(ModeLayoutTest, TheSourceTokenJustReadPredictsTheFirstTokenOfATargetWord) {
  const ModeExample example = LayExample(StreamMode::kInterleaved, 1);

  struct Expected {
    bool source_side;
    int32_t row;
    TokenId label;
  };
  // Rows before a READ learn the next word too, so that words end.
  const std::vector<Expected> expected = {
      {true, 3, 20},  {true, 5, 21},  {false, 1, 21}, {false, 2, 22}, {true, 7, 23},
      {false, 3, 23}, {false, 4, 24}, {false, 5, 25}, {true, 8, 6},   {false, 6, 6}};
  ASSERT_EQ(example.labels.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(example.labels[i].source_side, expected[i].source_side) << i;
    EXPECT_EQ(example.labels[i].row, expected[i].row) << i;
    EXPECT_EQ(example.labels[i].label, expected[i].label) << i;
  }
}

TEST(ModeLayoutTest, WithoutAReadTheLastTargetTokenPredicts) {
  const ModeExample example = LayExample(StreamMode::kInterleaved, 0);

  ASSERT_EQ(example.labels.size(), 7u);
  EXPECT_TRUE(example.labels[0].source_side);
  EXPECT_EQ(example.labels[0].row, 8);  // the marker
  for (size_t i = 1; i < 7; ++i) {
    EXPECT_FALSE(example.labels[i].source_side);
    EXPECT_EQ(example.labels[i].row, static_cast<int32_t>(i));
  }
}

TEST(ModeLayoutTest, ArrivalPositionsAreAllDifferentAndNoRowSeesALaterOne) {
  for (const Sample& sample : ToySamples(40, 3)) {
    const auto source_words = static_cast<int64_t>(sample.source_words.size());
    const auto target_words = static_cast<int64_t>(sample.target_words.size());
    for (const StreamMode mode :
         {StreamMode::kArrival, StreamMode::kInterleaved, StreamMode::kInterleavedSource}) {
      for (const int64_t k : {1, 3, 7}) {
        const ModeExample example =
            LaySample(mode, GroupPositions::kAll, sample, TinyTrainLayout(),
                      VisibleUnits({Schedule::Kind::kWaitK, k}, source_words, target_words));
        const auto& source = example.rows.source;
        const auto& target = example.rows.target;
        std::vector<int32_t> positions = Positions(source);
        for (const ModeRow& row : target) positions.push_back(row.position);
        std::sort(positions.begin(), positions.end());
        for (size_t i = 0; i < positions.size(); ++i) {
          ASSERT_EQ(positions[i], static_cast<int32_t>(i)) << "k " << k;
        }
        for (const auto* side : {&source, &target}) {
          for (const ModeRow& row : *side) {
            EXPECT_LE(source[row.source_end - 1].position, row.position);
            if (row.target_end > 0) {
              EXPECT_LE(target[row.target_end - 1].position, row.position);
            }
          }
        }
      }
    }
  }
}

TEST(ModeLayoutTest, SidesAreCappedSoThatPositionsFit) {
  StreamLayout layout = ExampleLayout();

  EXPECT_EQ(MaxSideTokens(StreamMode::kGroup, layout, 64), 60);
  layout.phi = 16;
  EXPECT_EQ(MaxSideTokens(StreamMode::kGroup, layout, 64), 46);
  layout.phi = 32;  // half: the source ends before the target side begins
  EXPECT_EQ(MaxSideTokens(StreamMode::kGroup, layout, 64), 28);
  EXPECT_EQ(MaxSideTokens(StreamMode::kInterleaved, layout, 64), 29);
}

TEST(ModeLayoutTest, UnknownNamesAreRefused) {
  EXPECT_EQ(ParseTrainingMode("bs_reuse").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ParseDecodingMode("batch_streaming").status().code(),
            absl::StatusCode::kInvalidArgument);
  const absl::Status status = ParseGroupPositions("some").status();
  EXPECT_NE(status.message().find("no_target"), absl::string_view::npos) << status;
  EXPECT_EQ(*ParseDecodingMode("bs_full"), StreamMode::kFull);
}

}  // namespace
}  // namespace dragoman::model
