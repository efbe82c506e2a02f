#include "model/kv_cache/kv_cache.h"

#include <functional>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace dragoman::model {
namespace {

using absl::StatusCode;

StepRow Source(StreamId stream, int32_t position) {
  return {.token = 1, .stream = stream, .side = Side::kSource, .position = position};
}
StepRow Target(StreamId stream, int32_t position, int32_t src_vis) {
  return {.token = 2,
          .stream = stream,
          .side = Side::kTarget,
          .position = position,
          .src_vis = src_vis,
          .want_logits = true};
}
StepBatch Batch(std::vector<StepRow> rows) { return {.rows = std::move(rows)}; }

std::vector<std::vector<int32_t>> Spans(const RowPlacement& place) {
  std::vector<std::vector<int32_t>> spans;
  for (int i = 0; i < place.keys.num_spans; ++i) {
    const KeySpan& span = place.keys.spans[i];
    spans.push_back({static_cast<int32_t>(span.side), span.begin, span.end});
  }
  return spans;
}

class KvCacheTest : public ::testing::Test {
 protected:
  KvCacheTest() : cache_({.max_pages = 8, .vocab_size = 10, .max_positions = 100}) {}

  StreamId OpenStream(int32_t source = 40, int32_t target = 40, int32_t phi = 0) {
    const absl::StatusOr<StreamId> id = cache_.Open(source, target, phi);
    EXPECT_TRUE(id.ok()) << id.status();
    return id.value_or(0);
  }
  absl::Status Append(std::vector<StepRow> rows) {
    return cache_.Append(Batch(std::move(rows)), &places_);
  }
  void AppendSource(StreamId stream, int32_t rows) {
    const int32_t begin = cache_.Lengths(stream)->source_side;
    std::vector<StepRow> batch;
    for (int32_t i = 0; i < rows; ++i) batch.push_back(Source(stream, begin + i));
    ASSERT_TRUE(Append(std::move(batch)).ok());
  }

  KvCache cache_;
  std::vector<RowPlacement> places_;
};

TEST_F(KvCacheTest, PlacesRowsAndKeySetsOfBothSides) {
  const StreamId stream = OpenStream(40, 40, 7);
  ASSERT_TRUE(cache_.SetPrompt(stream, 2).ok());

  ASSERT_TRUE(Append({Target(stream, 7, 1), Source(stream, 0), Source(stream, 1), Source(stream, 2),
                      Target(stream, 8, 1)})
                  .ok());

  ASSERT_EQ(places_.size(), 5u);
  EXPECT_EQ(Spans(places_[0]), (std::vector<std::vector<int32_t>>{{0, 0, 3}, {1, 0, 1}}));
  EXPECT_EQ(Spans(places_[3]), (std::vector<std::vector<int32_t>>{{0, 0, 3}}));
  EXPECT_EQ(Spans(places_[4]), (std::vector<std::vector<int32_t>>{{0, 0, 3}, {1, 0, 2}}));
  EXPECT_EQ(places_[3].index, 2);
  EXPECT_EQ(places_[3].page, cache_.PageTable(stream, Side::kSource)[0]);
  EXPECT_EQ(places_[4].page, cache_.PageTable(stream, Side::kTarget)[0]);
  EXPECT_EQ(places_[4].slot, 1);
  EXPECT_EQ(cache_.Lengths(stream)->source_side, 3);
  EXPECT_EQ(cache_.Lengths(stream)->target_side, 2);
  EXPECT_EQ(cache_.Lengths(stream)->prompt, 2);
}

TEST_F(KvCacheTest, ATargetRowBeforeAnySourceSeesThePromptOnly) {
  const StreamId stream = OpenStream();
  ASSERT_TRUE(cache_.SetPrompt(stream, 3).ok());
  AppendSource(stream, 5);

  ASSERT_TRUE(Append({Target(stream, 0, 0)}).ok());

  EXPECT_EQ(Spans(places_[0]), (std::vector<std::vector<int32_t>>{{0, 0, 3}, {1, 0, 1}}));
}

TEST_F(KvCacheTest, OpenChecksItsArguments) {
  EXPECT_EQ(cache_.Open(0, 1, 0).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(cache_.Open(1, 0, 0).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(cache_.Open(1, 1, -1).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(cache_.Open(101, 1, 0).status().code(), StatusCode::kOutOfRange);
  EXPECT_EQ(cache_.Open(1, 51, 50).status().code(), StatusCode::kOutOfRange);
  EXPECT_EQ(cache_.Open(1, 2, INT32_MAX).status().code(), StatusCode::kOutOfRange);
  EXPECT_TRUE(cache_.Open(100, 50, 50).ok());
}

TEST_F(KvCacheTest, UnknownStreamsAreNotFoundEverywhere) {
  const StreamId stream = OpenStream();
  ASSERT_TRUE(cache_.Close(stream).ok());

  EXPECT_EQ(cache_.Close(stream).code(), StatusCode::kNotFound);
  EXPECT_EQ(cache_.Lengths(stream).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(cache_.SetPrompt(stream, 0).code(), StatusCode::kNotFound);
  EXPECT_EQ(cache_.Truncate(stream, Side::kTarget, 0).code(), StatusCode::kNotFound);
  EXPECT_EQ(cache_.Mark(stream).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(cache_.Rollback(stream, {}).code(), StatusCode::kNotFound);
  EXPECT_EQ(Append({Source(stream, 0)}).code(), StatusCode::kNotFound);
  EXPECT_TRUE(cache_.PageTable(stream, Side::kSource).empty());
  EXPECT_NE(OpenStream(), stream);
}

// Each rejected batch also holds a good row of another stream, which must leave no trace.
TEST_F(KvCacheTest, E4_ARejectedBatchChangesNothing) {
  const StreamId stream = OpenStream(20, 20);
  const StreamId other = OpenStream(20, 20);
  ASSERT_TRUE(cache_.SetPrompt(stream, 1).ok());
  AppendSource(stream, 3);
  ASSERT_TRUE(Append({Target(stream, 0, 1)}).ok());
  const auto bad = [&](StepRow row, const std::function<void(StepRow*)>& change) {
    change(&row);
    return std::vector<StepRow>{Source(other, 0), row};
  };
  std::vector<StepRow> too_many;
  for (int i = 0; i < 18; ++i) too_many.push_back(Source(stream, 3 + i));
  std::vector<StepRow> too_many_targets;
  for (int i = 0; i < 20; ++i) too_many_targets.push_back(Target(stream, 1 + i, 2));
  const StepRow target = Target(stream, 1, 2);
  const std::vector<std::pair<std::vector<StepRow>, StatusCode>> cases = {
      {{}, StatusCode::kInvalidArgument},
      {bad(target, [](StepRow* r) { r->side = static_cast<Side>(2); }),
       StatusCode::kInvalidArgument},
      {bad(target, [](StepRow* r) { r->position = 2; }), StatusCode::kInvalidArgument},
      {bad(target, [](StepRow* r) { r->position = -1; }), StatusCode::kOutOfRange},
      {bad(target, [](StepRow* r) { r->position = 100; }), StatusCode::kOutOfRange},
      {bad(target, [](StepRow* r) { r->src_vis = 3; }), StatusCode::kInvalidArgument},
      {bad(target, [](StepRow* r) { r->src_vis = 0; }), StatusCode::kInvalidArgument},
      {bad(target, [](StepRow* r) { r->src_vis = -1; }), StatusCode::kInvalidArgument},
      {bad(target, [](StepRow* r) { r->token = 10; }), StatusCode::kInvalidArgument},
      {bad(target, [](StepRow* r) { r->token = -1; }), StatusCode::kInvalidArgument},
      {bad(target, [](StepRow* r) { r->stream = 999; }), StatusCode::kNotFound},
      {bad(Source(stream, 3), [](StepRow* r) { r->src_vis = 0; }), StatusCode::kInvalidArgument},
      {bad(Source(stream, 3), [](StepRow* r) { r->position = 4; }), StatusCode::kInvalidArgument},
      {too_many, StatusCode::kOutOfRange},
      {too_many_targets, StatusCode::kOutOfRange},
      {{Target(other, 0, 0), Target(stream, 1, 2), Target(stream, 2, 1)},
       StatusCode::kInvalidArgument},
  };
  const size_t pages = cache_.Stats().pages_used;

  for (size_t i = 0; i < cases.size(); ++i) {
    EXPECT_EQ(Append(cases[i].first).code(), cases[i].second) << "case " << i;
    EXPECT_EQ(cache_.Lengths(stream)->source_side, 3) << "case " << i;
    EXPECT_EQ(cache_.Lengths(stream)->target_side, 1) << "case " << i;
    EXPECT_EQ(cache_.Lengths(other)->source_side, 0) << "case " << i;
    EXPECT_EQ(cache_.Lengths(other)->target_side, 0) << "case " << i;
    EXPECT_EQ(cache_.Stats().pages_used, pages) << "case " << i;
  }
  EXPECT_TRUE(Append({Source(other, 0), target}).ok());
}

TEST_F(KvCacheTest, RefusesAStepThatNeedsMorePagesThanAreFree) {
  const StreamId stream = OpenStream(100, 40);
  AppendSource(stream, 96);
  const StreamId other = OpenStream();
  EXPECT_EQ(cache_.Stats().pages_used, 6u);

  EXPECT_EQ(Append({Source(stream, 96), Source(other, 0), Target(other, 0, 0)}).code(),
            StatusCode::kResourceExhausted);
  EXPECT_EQ(cache_.Stats().pages_used, 6u);
  ASSERT_TRUE(Append({Source(other, 0), Target(other, 0, 0)}).ok());
  EXPECT_EQ(Append({Source(stream, 96)}).code(), StatusCode::kResourceExhausted);
  ASSERT_TRUE(cache_.Close(other).ok());
  EXPECT_TRUE(Append({Source(stream, 96)}).ok());
}

TEST_F(KvCacheTest, WithoutLayoutChecksPositionsAndVisibilityAreFree) {
  const StreamId stream = OpenStream(20, 20, 5);
  AppendSource(stream, 4);
  StepBatch batch = Batch({Target(stream, 99, 3), Target(stream, 0, 1)});
  batch.check_layout = false;

  EXPECT_TRUE(cache_.Append(batch, &places_).ok());

  EXPECT_EQ(Spans(places_[1]), (std::vector<std::vector<int32_t>>{{0, 0, 1}, {1, 0, 2}}));
  batch.rows = {Target(stream, 1, 5)};
  EXPECT_EQ(cache_.Append(batch, &places_).code(), StatusCode::kInvalidArgument);
  batch.rows = {Target(stream, 100, 1)};
  EXPECT_EQ(cache_.Append(batch, &places_).code(), StatusCode::kOutOfRange);
  // The first row still sees three source rows, although the last one sees one.
  EXPECT_EQ(cache_.Truncate(stream, Side::kSource, 2).code(), StatusCode::kFailedPrecondition);
}

TEST_F(KvCacheTest, PromptIsFixedOnceRowsNeedIt) {
  const StreamId stream = OpenStream();
  EXPECT_EQ(cache_.SetPrompt(stream, -1).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(cache_.SetPrompt(stream, 41).code(), StatusCode::kOutOfRange);
  ASSERT_TRUE(cache_.SetPrompt(stream, 4).ok());
  AppendSource(stream, 5);

  EXPECT_TRUE(cache_.SetPrompt(stream, 4).ok());
  EXPECT_EQ(cache_.SetPrompt(stream, 3).code(), StatusCode::kFailedPrecondition);
  ASSERT_TRUE(cache_.Truncate(stream, Side::kSource, 4).ok());
  EXPECT_TRUE(cache_.SetPrompt(stream, 3).ok());
}

TEST_F(KvCacheTest, ATargetRowNeedsTheWholePrompt) {
  const StreamId stream = OpenStream();
  ASSERT_TRUE(cache_.SetPrompt(stream, 4).ok());
  AppendSource(stream, 3);

  EXPECT_EQ(Append({Target(stream, 0, 0)}).code(), StatusCode::kInvalidArgument);
  EXPECT_TRUE(Append({Target(stream, 0, 0), Source(stream, 3)}).ok());
}

TEST_F(KvCacheTest, E6_SourceIsNotShortenedBelowWhatAKeptTargetRowSees) {
  const StreamId stream = OpenStream();
  ASSERT_TRUE(cache_.SetPrompt(stream, 2).ok());
  AppendSource(stream, 8);
  ASSERT_TRUE(Append({Target(stream, 0, 1), Target(stream, 1, 4)}).ok());

  EXPECT_TRUE(cache_.Truncate(stream, Side::kSource, 6).ok());
  EXPECT_EQ(cache_.Truncate(stream, Side::kSource, 5).code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(cache_.Lengths(stream)->source_side, 6);
  ASSERT_TRUE(cache_.Truncate(stream, Side::kTarget, 1).ok());
  EXPECT_TRUE(cache_.Truncate(stream, Side::kSource, 3).ok());
  EXPECT_EQ(cache_.Truncate(stream, Side::kSource, 2).code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(cache_.Truncate(stream, Side::kSource, 4).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(cache_.Truncate(stream, Side::kTarget, -1).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(cache_.Truncate(stream, static_cast<Side>(9), 0).code(), StatusCode::kInvalidArgument);
}

TEST_F(KvCacheTest, AfterTruncationVisibilityMayStartLowerAgain) {
  const StreamId stream = OpenStream();
  AppendSource(stream, 8);
  ASSERT_TRUE(Append({Target(stream, 0, 1), Target(stream, 1, 5)}).ok());
  EXPECT_EQ(Append({Target(stream, 2, 3)}).code(), StatusCode::kInvalidArgument);

  ASSERT_TRUE(cache_.Truncate(stream, Side::kTarget, 1).ok());

  EXPECT_TRUE(Append({Target(stream, 1, 3)}).ok());
}

TEST_F(KvCacheTest, RollbackRestoresLengthsAndPages) {
  const StreamId stream = OpenStream();
  AppendSource(stream, 8);
  const CacheMark mark = *cache_.Mark(stream);
  AppendSource(stream, 20);
  ASSERT_TRUE(Append({Target(stream, 0, 20)}).ok());
  EXPECT_EQ(cache_.Stats().pages_used, 3u);

  ASSERT_TRUE(cache_.Rollback(stream, mark).ok());

  EXPECT_EQ(cache_.Lengths(stream)->source_side, 8);
  EXPECT_EQ(cache_.Lengths(stream)->target_side, 0);
  EXPECT_EQ(cache_.Stats().pages_used, 1u);
  EXPECT_TRUE(cache_.Rollback(stream, mark).ok());
}

TEST_F(KvCacheTest, AMarkIsInvalidOnceTheStreamWentBelowIt) {
  const StreamId stream = OpenStream();
  AppendSource(stream, 8);
  const CacheMark mark = *cache_.Mark(stream);
  ASSERT_TRUE(cache_.Truncate(stream, Side::kSource, 7).ok());
  AppendSource(stream, 3);

  EXPECT_EQ(cache_.Rollback(stream, mark).code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(cache_.Lengths(stream)->source_side, 10);
  // Shortening exactly to the mark keeps it.
  const CacheMark second = *cache_.Mark(stream);
  AppendSource(stream, 2);
  ASSERT_TRUE(cache_.Truncate(stream, Side::kSource, 10).ok());
  EXPECT_TRUE(cache_.Rollback(stream, second).ok());
}

TEST_F(KvCacheTest, MarksOfOtherStreamsAndInventedMarksAreRefused) {
  const StreamId first = OpenStream();
  const CacheMark foreign = *cache_.Mark(first);
  const StreamId second = OpenStream();

  EXPECT_EQ(cache_.Rollback(second, foreign).code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(cache_.Rollback(second, {}).code(), StatusCode::kFailedPrecondition);
  CacheMark future = *cache_.Mark(second);
  future.epoch += 10;
  EXPECT_EQ(cache_.Rollback(second, future).code(), StatusCode::kFailedPrecondition);
  CacheMark longer = *cache_.Mark(second);
  longer.source_side = 4;
  EXPECT_EQ(cache_.Rollback(second, longer).code(), StatusCode::kFailedPrecondition);
}

TEST_F(KvCacheTest, UndoAppendTakesBackTheLastBatchOnly) {
  const StreamId stream = OpenStream();
  const StreamId other = OpenStream();
  AppendSource(stream, 4);
  const CacheMark before = *cache_.Mark(stream);
  ASSERT_TRUE(Append({Source(stream, 4), Target(stream, 0, 5), Source(other, 0)}).ok());
  const CacheMark within = *cache_.Mark(stream);

  cache_.UndoAppend();
  cache_.UndoAppend();

  EXPECT_EQ(cache_.Lengths(stream)->source_side, 4);
  EXPECT_EQ(cache_.Lengths(stream)->target_side, 0);
  EXPECT_EQ(cache_.Lengths(other)->source_side, 0);
  EXPECT_EQ(cache_.Stats().pages_used, 1u);
  EXPECT_EQ(cache_.Rollback(stream, within).code(), StatusCode::kFailedPrecondition);
  EXPECT_TRUE(cache_.Rollback(stream, before).ok());
}

TEST_F(KvCacheTest, UndoAppendAfterAnotherChangeDoesNothing) {
  const StreamId stream = OpenStream();
  AppendSource(stream, 4);
  ASSERT_TRUE(cache_.Truncate(stream, Side::kSource, 3).ok());

  cache_.UndoAppend();

  EXPECT_EQ(cache_.Lengths(stream)->source_side, 3);
}

TEST_F(KvCacheTest, E3_ClosedAndCutRowsReturnTheirPages) {
  std::vector<PageId> released;
  cache_.SetPageReleased([&](PageId page) { released.push_back(page); });
  const StreamId stream = OpenStream();
  AppendSource(stream, 33);
  const std::vector<PageId> held(cache_.PageTable(stream, Side::kSource).begin(),
                                 cache_.PageTable(stream, Side::kSource).end());

  ASSERT_TRUE(cache_.Truncate(stream, Side::kSource, 32).ok());
  EXPECT_EQ(released, std::vector<PageId>{held[2]});
  ASSERT_TRUE(cache_.Close(stream).ok());

  EXPECT_THAT(released, ::testing::UnorderedElementsAreArray(held));
  EXPECT_EQ(cache_.Stats().pages_used, 0u);
  EXPECT_EQ(cache_.Stats().open_streams, 0u);
}

}  // namespace
}  // namespace dragoman::model
