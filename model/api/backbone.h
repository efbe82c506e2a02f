// The transformer as the engine sees it: a two-segment paged KV cache per stream and one packed
// forward over rows of many streams. No torch, no SIMD, no policy, no text.
//
// Thread rule: one thread at a time (the engine thread). Factories may be called from any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "model/api/model_config.h"
#include "model/api/step_batch.h"

namespace dragoman::model {

// Lengths of one stream, in rows. `prompt` counts the rows of side A before the source.
struct StreamLengths {
  int32_t source_side = 0;  // lenA, prompt included
  int32_t target_side = 0;  // lenB
  int32_t prompt = 0;       // p
};

// A point to roll back to. Invalid once either side went below it.
struct CacheMark {
  int32_t source_side = 0;
  int32_t target_side = 0;
  uint64_t epoch = 0;  // set by the cache; detects marks that a truncation made invalid
};

struct CacheStats {
  size_t pages_total = 0;
  size_t pages_used = 0;
  size_t page_rows = 16;
  size_t open_streams = 0;
};

class Backbone {
 public:
  virtual ~Backbone() = default;

  virtual const ModelConfig& config() const = 0;
  // "torch-cpu-float32" and so on; for logs and GetInfo.
  virtual std::string description() const = 0;
  // Bytes of weight matrices that one step reads, whatever its rows are.
  virtual int64_t weight_bytes() const = 0;
  // Bytes of keys and values of one page of the cache, over all layers; 0 where no numbers are
  // kept.
  virtual int64_t kv_page_bytes() const { return 0; }

  // Opens a stream whose sides may grow to the given numbers of rows. Pages are taken as rows come;
  // ResourceExhausted at Forward() then. `phi` is the position of the first target-side row.
  // Errors: InvalidArgument (capacity < 1, phi < 0), OutOfRange (capacity over the position limit:
  // source capacity > C, or phi + target capacity > C).
  virtual absl::StatusOr<StreamId> Open(int32_t source_capacity, int32_t target_capacity,
                                        int32_t phi) = 0;
  // Returns all pages. Errors: NotFound.
  virtual absl::Status Close(StreamId stream) = 0;
  virtual absl::StatusOr<StreamLengths> Lengths(StreamId stream) const = 0;
  // Says how many of the first side-A rows are prompt. Errors: FailedPrecondition when source or
  // target rows are already there and the value differs, NotFound.
  virtual absl::Status SetPrompt(StreamId stream, int32_t prompt_rows) = 0;

  // Runs all rows. Checks the whole batch first; a failed call changes nothing. `output` gets
  // fp32 logits [rows with want_logits, vocab], and attention to the source where rows ask for it.
  // Key set: A row at index a sees A[0..a]; B row at index b sees A[0..p+src_vis) and B[0..b].
  // Errors: InvalidArgument (unknown side, position not equal to the layout, src_vis beyond the
  // source rows that are there including this call, src_vis below the previous B row's, token id
  // outside the vocabulary, empty batch, those of CheckAttention()), NotFound (stream), OutOfRange
  // (capacity or position limit), ResourceExhausted (no pages).
  virtual absl::Status Forward(const StepBatch& batch, StepOutput* output) = 0;

  // Shortens one side. Target side: always allowed. Source side: only if no kept target row sees
  // further. Errors: NotFound, InvalidArgument (longer than the side), FailedPrecondition.
  virtual absl::Status Truncate(StreamId stream, Side side, int32_t new_length) = 0;
  virtual absl::StatusOr<CacheMark> Mark(StreamId stream) const = 0;
  // Truncates the target side, then the source side. Errors: FailedPrecondition for an invalid
  // mark.
  virtual absl::Status Rollback(StreamId stream, const CacheMark& mark) = 0;
  virtual CacheStats Stats() const = 0;

  // Copies the cached keys or values of one row of one layer as fp32, [kv_heads, head_dim]; nothing
  // for a layer without attention. Slow; for tests and inspection. Errors: NotFound, OutOfRange.
  virtual absl::Status ReadCache(StreamId stream, Side side, int32_t row, int64_t layer, bool keys,
                                 std::vector<float>* out) const = 0;
};

}  // namespace dragoman::model
