// Book-keeping of the two-segment paged KV cache (streaming.md section 4; paging: Kwon et al.
// 2023): pages, lengths, visibility, validation of a packed step, truncation and marks. It holds no
// keys and values: a backbone stores rows where PageTable() says. Torch-free, shared by all
// backbones. One thread only (the engine thread).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/status.h"
#include "model/api/backbone.h"
#include "model/api/key_span.h"
#include "model/api/step_batch.h"
#include "model/kv_cache/page_allocator.h"

namespace dragoman::model {

struct KvCacheOptions {
  size_t max_pages = 0;
  int64_t vocab_size = 0;
  int32_t max_positions = 0;  // C
};

// Where one row of a planned step goes and what it sees.
struct RowPlacement {
  PageId page = 0;
  int32_t slot = 0;   // row inside the page
  int32_t index = 0;  // index of the row in its side
  KeySet keys;
};

class KvCache {
 public:
  explicit KvCache(const KvCacheOptions& options);
  ~KvCache();
  KvCache(const KvCache&) = delete;
  KvCache& operator=(const KvCache&) = delete;

  // Open, Close, Lengths, SetPrompt, Truncate, Mark and Rollback behave as Backbone says.
  absl::StatusOr<StreamId> Open(int32_t source_capacity, int32_t target_capacity, int32_t phi);
  absl::Status Close(StreamId stream);
  absl::StatusOr<StreamLengths> Lengths(StreamId stream) const;
  absl::Status SetPrompt(StreamId stream, int32_t prompt_rows);

  // Checks the whole batch, takes pages and advances lengths; on error nothing has changed.
  // `placements` gets one entry per row. Errors: see Backbone::Forward().
  absl::Status Append(const StepBatch& batch, std::vector<RowPlacement>* placements);
  // Undoes the last Append(): for a forward that failed after it. Only directly after that
  // Append(); after any other change it does nothing.
  void UndoAppend();

  absl::Status Truncate(StreamId stream, Side side, int32_t new_length);
  absl::StatusOr<CacheMark> Mark(StreamId stream) const;
  absl::Status Rollback(StreamId stream, const CacheMark& mark);

  // Pages of one side, in row order; row r lies in page r / 16, slot r % 16. Empty if unknown.
  std::span<const PageId> PageTable(StreamId stream, Side side) const;
  CacheStats Stats() const;
  // Called with each page that returns to the pool (poisoning in tests).
  void SetPageReleased(std::function<void(PageId)> callback);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace dragoman::model
