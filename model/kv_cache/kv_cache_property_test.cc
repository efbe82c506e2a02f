// Random schedules of KvCache against a naive model that keeps plain lists.
#include <algorithm>
#include <cstdlib>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/random.h"
#include "gtest/gtest.h"
#include "model/kv_cache/kv_cache.h"

namespace dragoman::model {
namespace {

constexpr int64_t kVocabulary = 50;
constexpr int32_t kMaxPositions = 90;
constexpr size_t kPages = 14;

uint64_t TestSeed() {
  const char* text = std::getenv("DRAGOMAN_TEST_SEED");
  return text == nullptr ? 20260917 : std::strtoull(text, nullptr, 10);
}

// What the cache must remember of one stream; every row has a serial number of its own.
struct NaiveStream {
  int32_t capacity[2] = {0, 0};
  int32_t phi = 0;
  int32_t prompt = 0;
  std::vector<int64_t> rows[2];
  std::vector<int32_t> visible;
};

struct NaiveMark {
  CacheMark mark;
  std::vector<int64_t> rows[2];  // valid as long as the stream still begins with these rows
};

class Schedule {
 public:
  explicit Schedule(uint64_t id)
      : random_(TestSeed(), "kv_cache_schedule", 0, id),
        cache_({.max_pages = kPages, .vocab_size = kVocabulary, .max_positions = kMaxPositions}) {}

  void Run(int steps) {
    for (int i = 0; i < steps && !::testing::Test::HasFailure(); ++i) {
      switch (random_.NextBelow(10)) {
        case 0:
          OpenOne();
          break;
        case 1:
          if (random_.NextBelow(3) == 0) CloseOne();
          break;
        case 2:
          TruncateOne();
          break;
        case 3:
          MarkOne();
          break;
        case 4:
          RollbackOne();
          break;
        default:
          AppendSome();
      }
      CheckAll();
    }
    while (!streams_.empty()) CloseStream(streams_.begin()->first);
    EXPECT_EQ(cache_.Stats().pages_used, 0u);
  }

 private:
  int32_t Below(int32_t bound) { return static_cast<int32_t>(random_.NextBelow(bound)); }

  StreamId AnyStream() {
    if (streams_.empty()) return -1;
    auto it = streams_.begin();
    std::advance(it, Below(static_cast<int32_t>(streams_.size())));
    return it->first;
  }

  void OpenOne() {
    NaiveStream stream;
    stream.capacity[0] = 1 + Below(kMaxPositions);
    stream.capacity[1] = 1 + Below(60);
    stream.phi = Below(30);
    stream.prompt = std::min(stream.capacity[0], Below(4));
    const absl::StatusOr<StreamId> id =
        cache_.Open(stream.capacity[0], stream.capacity[1], stream.phi);
    ASSERT_TRUE(id.ok()) << id.status();
    ASSERT_TRUE(cache_.SetPrompt(*id, stream.prompt).ok());
    ASSERT_TRUE(streams_.emplace(*id, stream).second) << "stream id was used twice";
  }

  void CloseOne() {
    const StreamId id = AnyStream();
    if (id >= 0) CloseStream(id);
  }

  void CloseStream(StreamId id) {
    EXPECT_TRUE(cache_.Close(id).ok());
    streams_.erase(id);
    marks_.erase(id);
  }

  void Cut(NaiveStream* stream, int side, int32_t length) {
    stream->rows[side].resize(length);
    if (side == 1) stream->visible.resize(length);
  }

  void TruncateOne() {
    const StreamId id = AnyStream();
    if (id < 0) return;
    NaiveStream& stream = streams_[id];
    const int side = Below(2);
    const int32_t length = static_cast<int32_t>(stream.rows[side].size());
    const int32_t wanted = Below(length + 2);
    absl::StatusCode expected = absl::StatusCode::kOk;
    if (wanted > length) {
      expected = absl::StatusCode::kInvalidArgument;
    } else if (side == 0) {
      for (const int32_t visible : stream.visible) {
        if (stream.prompt + visible > wanted) expected = absl::StatusCode::kFailedPrecondition;
      }
    }
    EXPECT_EQ(cache_.Truncate(id, static_cast<Side>(side), wanted).code(), expected);
    if (expected == absl::StatusCode::kOk) Cut(&stream, side, wanted);
  }

  void MarkOne() {
    const StreamId id = AnyStream();
    if (id < 0) return;
    const absl::StatusOr<CacheMark> mark = cache_.Mark(id);
    ASSERT_TRUE(mark.ok());
    const NaiveStream& stream = streams_[id];
    marks_[id].push_back({*mark, {stream.rows[0], stream.rows[1]}});
  }

  void RollbackOne() {
    const StreamId id = AnyStream();
    if (id < 0 || marks_[id].empty()) return;
    const NaiveMark& mark = marks_[id][Below(static_cast<int32_t>(marks_[id].size()))];
    NaiveStream& stream = streams_[id];
    bool valid = true;
    for (int side = 0; side < 2; ++side) {
      const std::vector<int64_t>& want = mark.rows[side];
      valid = valid && stream.rows[side].size() >= want.size() &&
              std::equal(want.begin(), want.end(), stream.rows[side].begin());
    }
    const absl::Status status = cache_.Rollback(id, mark.mark);
    EXPECT_EQ(status.code(), valid ? absl::StatusCode::kOk : absl::StatusCode::kFailedPrecondition);
    if (!valid) return;
    for (int side = 0; side < 2; ++side) {
      Cut(&stream, side, static_cast<int32_t>(mark.rows[side].size()));
    }
  }

  // Adds up to six rows to a copy of the naive streams; the batch may go wrong in one way.
  void AppendSome() {
    if (streams_.empty()) return;
    std::map<StreamId, NaiveStream> after = streams_;
    StepBatch batch;
    bool over_capacity = false;
    for (int i = Below(6); i >= 0; --i) {
      const StreamId id = AnyStream();
      NaiveStream& stream = after[id];
      const int side = Below(2);
      const int32_t source = static_cast<int32_t>(stream.rows[0].size());
      if (side == 1 && source < stream.prompt) continue;
      for (int run = Below(side == 0 ? 20 : 4); run >= 0; --run) {
        StepRow row;
        row.token = Below(kVocabulary);
        row.stream = id;
        row.side = static_cast<Side>(side);
        const int32_t index = static_cast<int32_t>(stream.rows[side].size());
        row.position = index + (side == 1 ? stream.phi : 0);
        if (index >= stream.capacity[side]) over_capacity = true;
        if (side == 1) {
          const int32_t low = stream.visible.empty() ? 0 : stream.visible.back();
          row.src_vis = low + Below(source - stream.prompt - low + 1);
          stream.visible.push_back(row.src_vis);
        }
        stream.rows[side].push_back(++serial_);
        batch.rows.push_back(row);
      }
    }
    if (batch.rows.empty()) return;
    size_t pages = 0;
    for (const auto& [id, stream] : after) {
      for (int side = 0; side < 2; ++side) pages += (stream.rows[side].size() + 15) / 16;
    }
    absl::StatusCode expected = absl::StatusCode::kOk;
    if (over_capacity) {
      expected = absl::StatusCode::kOutOfRange;
    } else if (Below(8) == 0) {
      batch.rows[Below(static_cast<int32_t>(batch.rows.size()))].token = kVocabulary;
      expected = absl::StatusCode::kInvalidArgument;
    } else if (pages > kPages) {
      expected = absl::StatusCode::kResourceExhausted;
    }
    const absl::Status status = cache_.Append(batch, &places_);
    ASSERT_EQ(status.code(), expected) << status;
    if (!status.ok()) return;
    CheckPlacements(batch);
    if (Below(6) == 0) {
      cache_.UndoAppend();
    } else {
      streams_ = std::move(after);
    }
  }

  void CheckPlacements(const StepBatch& batch) {
    std::map<std::pair<StreamId, int>, int32_t> next;
    ASSERT_EQ(places_.size(), batch.rows.size());
    for (size_t i = 0; i < places_.size(); ++i) {
      const StepRow& row = batch.rows[i];
      const RowPlacement& place = places_[i];
      const int side = static_cast<int>(row.side);
      const NaiveStream& stream = streams_[row.stream];
      auto [it, fresh] =
          next.try_emplace({row.stream, side}, static_cast<int32_t>(stream.rows[side].size()));
      EXPECT_EQ(place.index, it->second++);
      EXPECT_EQ(place.slot, place.index % 16);
      EXPECT_EQ(place.page, cache_.PageTable(row.stream, row.side)[place.index / 16]);
      const int32_t seen =
          side == 0 ? place.index + 1 : stream.prompt + row.src_vis + place.index + 1;
      EXPECT_EQ(place.keys.size(), seen);
    }
  }

  // Lengths agree, no page has two owners, none is lost.
  void CheckAll() {
    std::set<PageId> owned;
    size_t count = 0;
    for (const auto& [id, stream] : streams_) {
      const absl::StatusOr<StreamLengths> lengths = cache_.Lengths(id);
      ASSERT_TRUE(lengths.ok());
      ASSERT_EQ(lengths->source_side, static_cast<int32_t>(stream.rows[0].size()));
      ASSERT_EQ(lengths->target_side, static_cast<int32_t>(stream.rows[1].size()));
      for (const Side side : {Side::kSource, Side::kTarget}) {
        const std::span<const PageId> pages = cache_.PageTable(id, side);
        ASSERT_EQ(pages.size(), (stream.rows[static_cast<int>(side)].size() + 15) / 16);
        owned.insert(pages.begin(), pages.end());
        count += pages.size();
      }
    }
    ASSERT_EQ(owned.size(), count) << "a page has two owners";
    ASSERT_EQ(cache_.Stats().pages_used, count) << "a page was lost";
    ASSERT_EQ(cache_.Stats().open_streams, streams_.size());
  }

  RandomStream random_;
  KvCache cache_;
  std::map<StreamId, NaiveStream> streams_;
  std::map<StreamId, std::vector<NaiveMark>> marks_;
  std::vector<RowPlacement> places_;
  int64_t serial_ = 0;
};

TEST(KvCachePropertyTest, E1_AThousandRandomSchedulesAgreeWithANaiveModel) {
  for (uint64_t i = 0; i < 1000; ++i) {
    SCOPED_TRACE("schedule " + std::to_string(i) +
                 ", DRAGOMAN_TEST_SEED=" + std::to_string(TestSeed()));
    Schedule schedule(i);
    schedule.Run(150);
    if (::testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace dragoman::model
