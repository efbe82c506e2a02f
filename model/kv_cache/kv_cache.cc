#include "model/kv_cache/kv_cache.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "model/kv_cache/page_lease.h"

namespace dragoman::model {
namespace {

// Remembers how short one side has been, so that a mark taken at some moment can be judged later.
// Entries have rising epochs and rising lengths, thus at most one entry per length.
class ShorteningLog {
 public:
  void Record(uint64_t epoch, int32_t length) {
    while (!entries_.empty() && entries_.back().length >= length) entries_.pop_back();
    entries_.push_back({epoch, length});
  }
  // Did the side go below `length` after `epoch`?
  bool WentBelow(int32_t length, uint64_t epoch) const {
    const auto first = std::find_if(entries_.begin(), entries_.end(),
                                    [&](const Entry& entry) { return entry.epoch > epoch; });
    return first != entries_.end() && first->length < length;
  }

 private:
  struct Entry {
    uint64_t epoch;
    int32_t length;
  };
  std::vector<Entry> entries_;
};

struct SideState {
  SideState(PageAllocator* allocator, int32_t max_rows)
      : capacity(max_rows), lease(allocator, max_rows) {}
  const int32_t capacity;
  int32_t length = 0;
  int32_t planned = 0;  // length after the batch that is being checked
  int32_t cursor = 0;   // index of its next row
  PageLease lease;
  ShorteningLog shortenings;
};

struct Stream {
  Stream(PageAllocator* allocator, int32_t source_capacity, int32_t target_capacity,
         int32_t first_target_position, uint64_t open_epoch)
      : source(allocator, source_capacity),
        target(allocator, target_capacity),
        phi(first_target_position),
        opened(open_epoch) {
    visible.reserve(target_capacity);
  }

  SideState& side(Side which) { return which == Side::kSource ? source : target; }

  SideState source;
  SideState target;
  const int32_t phi;
  const uint64_t opened;
  int32_t prompt = 0;
  std::vector<int32_t> visible;  // [target rows] src_vis
  int32_t planned_visible = 0;   // src_vis of the last target row checked
  bool planning = false;
};

struct UndoEntry {
  StreamId id;
  int32_t source_length;
  int32_t target_length;
};

}  // namespace

struct KvCache::Impl {
  explicit Impl(const KvCacheOptions& o) : options(o), allocator(o.max_pages) {}

  absl::StatusOr<Stream*> Find(StreamId id) const {
    const auto it = streams.find(id);
    if (it == streams.end()) {
      return absl::NotFoundError(absl::StrCat("stream ", id, " is not open"));
    }
    return it->second.get();
  }
  absl::Status PlanStreams(const StepBatch& batch);
  absl::Status CheckRow(const StepRow& row, size_t row_index, bool check_layout, Stream* stream);
  absl::Status CheckBatch(const StepBatch& batch);
  void Commit(const StepBatch& batch, std::vector<RowPlacement>* placements);
  void EndPlanning();
  void Shorten(Stream* stream, Side which, int32_t new_length);

  const KvCacheOptions options;
  PageAllocator allocator;  // before `streams`: leases return pages when they go
  absl::flat_hash_map<StreamId, std::unique_ptr<Stream>> streams;
  StreamId next_id = 1;
  uint64_t epoch = 1;                // rises with each Open and each shortening, over all streams
  std::vector<Stream*> row_streams;  // [rows] of the batch that is being checked
  std::vector<std::pair<StreamId, Stream*>> planned;
  std::vector<UndoEntry> undo;
};

KvCache::KvCache(const KvCacheOptions& options) : impl_(std::make_unique<Impl>(options)) {}
KvCache::~KvCache() { impl_->allocator.SetReleased(nullptr); }  // its owner is going as well

absl::StatusOr<StreamId> KvCache::Open(int32_t source_capacity, int32_t target_capacity,
                                       int32_t phi) {
  if (source_capacity < 1 || target_capacity < 1) {
    return absl::InvalidArgumentError(absl::StrCat("stream capacity ", source_capacity, " and ",
                                                   target_capacity, " rows, at least 1 each"));
  }
  if (phi < 0) return absl::InvalidArgumentError(absl::StrCat("phi ", phi, ", at least 0"));
  const int64_t limit = impl_->options.max_positions;
  if (source_capacity > limit || int64_t{phi} + target_capacity > limit) {
    return absl::OutOfRangeError(absl::StrCat("stream capacity ", source_capacity, " and phi ", phi,
                                              " + ", target_capacity, ", position limit ", limit));
  }
  impl_->undo.clear();
  const StreamId id = impl_->next_id++;
  impl_->streams.emplace(id, std::make_unique<Stream>(&impl_->allocator, source_capacity,
                                                      target_capacity, phi, ++impl_->epoch));
  return id;
}

absl::Status KvCache::Close(StreamId stream) {
  DRAGOMAN_RETURN_IF_ERROR(impl_->Find(stream).status());
  impl_->undo.clear();
  impl_->streams.erase(stream);
  return absl::OkStatus();
}

absl::StatusOr<StreamLengths> KvCache::Lengths(StreamId stream) const {
  DRAGOMAN_ASSIGN_OR_RETURN(const Stream* state, impl_->Find(stream));
  return StreamLengths{state->source.length, state->target.length, state->prompt};
}

absl::Status KvCache::SetPrompt(StreamId stream, int32_t prompt_rows) {
  DRAGOMAN_ASSIGN_OR_RETURN(Stream * state, impl_->Find(stream));
  if (prompt_rows < 0) {
    return absl::InvalidArgumentError(absl::StrCat("prompt of ", prompt_rows, " rows"));
  }
  if (prompt_rows > state->source.capacity) {
    return absl::OutOfRangeError(
        absl::StrCat("prompt of ", prompt_rows, " rows, source capacity ", state->source.capacity));
  }
  if (prompt_rows == state->prompt) return absl::OkStatus();
  if (state->source.length > state->prompt || state->target.length > 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("prompt length ", state->prompt, " cannot become ", prompt_rows, ": stream ",
                     stream, " already has ", state->source.length, " source and ",
                     state->target.length, " target rows"));
  }
  impl_->undo.clear();
  state->prompt = prompt_rows;
  return absl::OkStatus();
}

// Resolves the streams of all rows and counts the rows of the call: a target row may see source
// rows that stand after it in the batch.
absl::Status KvCache::Impl::PlanStreams(const StepBatch& batch) {
  row_streams.clear();
  StreamId last_id = 0;
  Stream* last = nullptr;
  for (size_t i = 0; i < batch.rows.size(); ++i) {
    const StepRow& row = batch.rows[i];
    if (row.side != Side::kSource && row.side != Side::kTarget) {
      return absl::InvalidArgumentError(
          absl::StrCat("row ", i, ": unknown side ", static_cast<int>(row.side)));
    }
    if (last == nullptr || row.stream != last_id) {
      absl::StatusOr<Stream*> found = Find(row.stream);
      if (!found.ok()) return AddContext(found.status(), absl::StrCat("row ", i));
      last = *found;
      last_id = row.stream;
    }
    if (!last->planning) {
      last->planning = true;
      for (SideState* side : {&last->source, &last->target}) {
        side->planned = side->cursor = side->length;
      }
      last->planned_visible = last->visible.empty() ? 0 : last->visible.back();
      planned.emplace_back(row.stream, last);
    }
    ++last->side(row.side).planned;
    row_streams.push_back(last);
  }
  return absl::OkStatus();
}

// Checks one row against its place in the layout; rows come in batch order.
absl::Status KvCache::Impl::CheckRow(const StepRow& row, size_t row_index, bool check_layout,
                                     Stream* stream) {
  const auto at = [&] { return absl::StrCat("row ", row_index, " of stream ", row.stream, ": "); };
  if (row.token < 0 || row.token >= options.vocab_size) {
    return absl::InvalidArgumentError(absl::StrCat(at(), "token ", row.token, ", vocabulary has ",
                                                   options.vocab_size, " entries"));
  }
  if (row.position < 0 || row.position >= options.max_positions) {
    return absl::OutOfRangeError(
        absl::StrCat(at(), "position ", row.position, ", limit ", options.max_positions));
  }
  const int32_t index = stream->side(row.side).cursor++;
  const int32_t layout = row.side == Side::kSource ? index : stream->phi + index;
  if (check_layout && row.position != layout) {
    return absl::InvalidArgumentError(
        absl::StrCat(at(), "position ", row.position, ", layout asks for ", layout));
  }
  if (row.side == Side::kSource) {
    if (row.src_vis == -1) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat(at(), "source row with src_vis ", row.src_vis, ", must be -1"));
  }
  const int32_t there = stream->source.planned - stream->prompt;
  if (row.src_vis < 0 || row.src_vis > there) {
    return absl::InvalidArgumentError(
        absl::StrCat(at(), "src_vis ", row.src_vis, ", source rows after this call ", there));
  }
  if (check_layout && row.src_vis < stream->planned_visible) {
    return absl::InvalidArgumentError(absl::StrCat(at(), "src_vis ", row.src_vis,
                                                   " is below that of the row before, ",
                                                   stream->planned_visible));
  }
  stream->planned_visible = row.src_vis;
  return absl::OkStatus();
}

absl::Status KvCache::Impl::CheckBatch(const StepBatch& batch) {
  if (batch.rows.empty()) return absl::InvalidArgumentError("empty batch");
  DRAGOMAN_RETURN_IF_ERROR(PlanStreams(batch));
  size_t pages = 0;
  for (const auto& [id, stream] : planned) {
    for (const SideState* side : {&stream->source, &stream->target}) {
      if (side->planned > side->capacity) {
        return absl::OutOfRangeError(absl::StrCat("stream ", id, ": ", side->planned,
                                                  side == &stream->source ? " source" : " target",
                                                  " rows, capacity ", side->capacity));
      }
      pages += PagesForRows(side->planned) - PagesForRows(side->length);
    }
  }
  for (size_t i = 0; i < batch.rows.size(); ++i) {
    DRAGOMAN_RETURN_IF_ERROR(CheckRow(batch.rows[i], i, batch.check_layout, row_streams[i]));
  }
  if (pages > allocator.free()) {
    return absl::ResourceExhaustedError(absl::StrCat("step needs ", pages, " KV pages, free are ",
                                                     allocator.free(), " of ", allocator.total()));
  }
  return absl::OkStatus();
}

// Nothing can fail from here on: takes the pages, advances the lengths, places each row.
void KvCache::Impl::Commit(const StepBatch& batch, std::vector<RowPlacement>* placements) {
  undo.clear();
  for (const auto& [id, stream] : planned) {
    undo.push_back({id, stream->source.length, stream->target.length});
    stream->source.lease.Resize(stream->source.planned);
    stream->target.lease.Resize(stream->target.planned);
  }
  placements->resize(batch.rows.size());
  for (size_t i = 0; i < batch.rows.size(); ++i) {
    const StepRow& row = batch.rows[i];
    Stream* stream = row_streams[i];
    SideState& side = stream->side(row.side);
    RowPlacement& place = (*placements)[i];
    place.index = side.length++;
    place.page = side.lease.pages()[place.index / kPageRows];
    place.slot = place.index % kPageRows;
    place.keys.num_spans = 0;
    if (row.side == Side::kSource) {
      place.keys.Add({Side::kSource, 0, place.index + 1});
    } else {
      place.keys.Add({Side::kSource, 0, stream->prompt + row.src_vis});
      place.keys.Add({Side::kTarget, 0, place.index + 1});
      stream->visible.push_back(row.src_vis);
    }
  }
}

void KvCache::Impl::EndPlanning() {
  for (const auto& [id, stream] : planned) stream->planning = false;
  planned.clear();
}

absl::Status KvCache::Append(const StepBatch& batch, std::vector<RowPlacement>* placements) {
  absl::Status status = impl_->CheckBatch(batch);
  if (status.ok()) impl_->Commit(batch, placements);
  impl_->EndPlanning();
  return status;
}

void KvCache::Impl::Shorten(Stream* stream, Side which, int32_t new_length) {
  SideState& side = stream->side(which);
  if (new_length == side.length) return;
  side.length = new_length;
  side.lease.Resize(new_length);
  side.shortenings.Record(++epoch, new_length);
  if (which == Side::kTarget) stream->visible.resize(new_length);
}

void KvCache::UndoAppend() {
  for (const UndoEntry& entry : impl_->undo) {
    const absl::StatusOr<Stream*> stream = impl_->Find(entry.id);
    DRAGOMAN_CHECK(stream.ok());
    impl_->Shorten(*stream, Side::kTarget, entry.target_length);
    impl_->Shorten(*stream, Side::kSource, entry.source_length);
  }
  impl_->undo.clear();
}

absl::Status KvCache::Truncate(StreamId stream, Side side, int32_t new_length) {
  DRAGOMAN_ASSIGN_OR_RETURN(Stream * state, impl_->Find(stream));
  if (side != Side::kSource && side != Side::kTarget) {
    return absl::InvalidArgumentError(absl::StrCat("unknown side ", static_cast<int>(side)));
  }
  const int32_t length = state->side(side).length;
  if (new_length < 0 || new_length > length) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot shorten ", length, " rows to ", new_length));
  }
  if (side == Side::kSource && !state->visible.empty()) {
    const int32_t seen =
        state->prompt + *std::max_element(state->visible.begin(), state->visible.end());
    if (seen > new_length) {
      return absl::FailedPreconditionError(absl::StrCat("source rows cannot be shortened to ",
                                                        new_length, ": a target row sees ", seen,
                                                        " of them; shorten the target side first"));
    }
  }
  impl_->undo.clear();
  impl_->Shorten(state, side, new_length);
  return absl::OkStatus();
}

absl::StatusOr<CacheMark> KvCache::Mark(StreamId stream) const {
  DRAGOMAN_ASSIGN_OR_RETURN(const Stream* state, impl_->Find(stream));
  return CacheMark{state->source.length, state->target.length, impl_->epoch};
}

absl::Status KvCache::Rollback(StreamId stream, const CacheMark& mark) {
  DRAGOMAN_ASSIGN_OR_RETURN(Stream * state, impl_->Find(stream));
  if (mark.epoch < state->opened || mark.epoch > impl_->epoch) {
    return absl::FailedPreconditionError("the mark is not one of this stream");
  }
  const auto invalid = [&](const SideState& side, int32_t length) {
    return length < 0 || length > side.length || side.shortenings.WentBelow(length, mark.epoch);
  };
  if (invalid(state->source, mark.source_side) || invalid(state->target, mark.target_side)) {
    return absl::FailedPreconditionError(
        absl::StrCat("the mark at ", mark.source_side, " and ", mark.target_side,
                     " rows is invalid: the stream was shortened below it"));
  }
  DRAGOMAN_RETURN_IF_ERROR(Truncate(stream, Side::kTarget, mark.target_side));
  return Truncate(stream, Side::kSource, mark.source_side);
}

std::span<const PageId> KvCache::PageTable(StreamId stream, Side side) const {
  const absl::StatusOr<Stream*> state = impl_->Find(stream);
  if (!state.ok()) return {};
  return (*state)->side(side).lease.pages();
}

CacheStats KvCache::Stats() const {
  CacheStats stats;
  stats.pages_total = impl_->allocator.total();
  stats.pages_used = impl_->allocator.total() - impl_->allocator.free();
  stats.page_rows = kPageRows;
  stats.open_streams = impl_->streams.size();
  return stats;
}

void KvCache::SetPageReleased(std::function<void(PageId)> callback) {
  impl_->allocator.SetReleased(std::move(callback));
}

}  // namespace dragoman::model
