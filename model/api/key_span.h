// The key set of a row is a list of spans, so that blocks of examples and latent side branches can
// join later without a new cache. Today: prompt and source are one span of side A, the target is
// one span of side B.
#pragma once

#include <array>
#include <cstdint>

#include "model/api/step_batch.h"

namespace dragoman::model {

// Cache rows [begin, end) of one side of the row's own stream.
struct KeySpan {
  Side side = Side::kSource;
  int32_t begin = 0;
  int32_t end = 0;
};

// Spans in attention order. A fixed array: it is made per row per step.
struct KeySet {
  static constexpr int kMaxSpans = 4;
  std::array<KeySpan, kMaxSpans> spans;
  int num_spans = 0;

  void Add(KeySpan span) {
    if (span.begin < span.end) spans[num_spans++] = span;
  }
  int32_t size() const {
    int32_t total = 0;
    for (int i = 0; i < num_spans; ++i) total += spans[i].end - spans[i].begin;
    return total;
  }
};

}  // namespace dragoman::model
