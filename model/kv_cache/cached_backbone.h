// What all backbones that keep their rows by KvCache have in common: streams, lengths, truncation
// and marks are the cache's. Same thread rule as Backbone.
#pragma once

#include "model/api/backbone.h"
#include "model/kv_cache/kv_cache.h"

namespace dragoman::model {

class CachedBackbone : public Backbone {
 public:
  absl::StatusOr<StreamId> Open(int32_t source_capacity, int32_t target_capacity,
                                int32_t phi) final {
    return cache_.Open(source_capacity, target_capacity, phi);
  }
  absl::Status Close(StreamId stream) final { return cache_.Close(stream); }
  absl::StatusOr<StreamLengths> Lengths(StreamId stream) const final {
    return cache_.Lengths(stream);
  }
  absl::Status SetPrompt(StreamId stream, int32_t prompt_rows) final {
    return cache_.SetPrompt(stream, prompt_rows);
  }
  absl::Status Truncate(StreamId stream, Side side, int32_t new_length) final {
    return cache_.Truncate(stream, side, new_length);
  }
  absl::StatusOr<CacheMark> Mark(StreamId stream) const final { return cache_.Mark(stream); }
  absl::Status Rollback(StreamId stream, const CacheMark& mark) final {
    return cache_.Rollback(stream, mark);
  }
  CacheStats Stats() const final { return cache_.Stats(); }

 protected:
  explicit CachedBackbone(const KvCacheOptions& options) : cache_(options) {}

  KvCache cache_;
};

}  // namespace dragoman::model
