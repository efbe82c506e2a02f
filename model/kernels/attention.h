// Attention of one row and one key-value head over keys in pages of 16 rows: softmax(q K^T) V for
// the query heads that share the key-value head (grouped-query attention, Ainslie et al. 2023).
// The order of all sums follows the order of the keys alone. Thread-safe.
#pragma once

#include <cstdint>
#include <span>

namespace dragoman::model {

constexpr int64_t kKeyPageRows = 16;

// Keys and values of one page, of one layer and key-value head.
struct KeyPage {
  const float* keys = nullptr;    // [head_dim, 16]: one vector load gives 16 rows
  const float* values = nullptr;  // [16, value_stride]
  int32_t begin = 0, end = 0;  // rows of the page that the query sees; what lies outside may be NaN
};

struct AttentionHead {
  const float* queries = nullptr;  // [group, head_dim], already scaled
  int64_t group = 0;
  int64_t head_dim = 0;
  int64_t value_stride = 0;  // head_dim rounded up to 16
  float* out = nullptr;      // [group, head_dim]
};

// Floats of scratch that Attention() needs.
int64_t AttentionScratch(int64_t group, int64_t pages, int64_t value_stride);

// `pages` holds at least one row. `scratch`: AttentionScratch() floats.
void Attention(const AttentionHead& head, std::span<const KeyPage> pages, float* scratch);
void AttentionReference(const AttentionHead& head, std::span<const KeyPage> pages);

}  // namespace dragoman::model
