// Attention of one row over keys in pages of 16 rows: softmax(q K^T) V for the query heads of one
// or more key-value heads, each of which serves `group` query heads (grouped-query attention,
// Ainslie et al. 2023). Sums are fp32, also where keys and values are kept in fp16. Their order
// follows the order of the keys alone. Thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "model/api/kv_type.h"

namespace dragoman::model {

constexpr int64_t kKeyPageRows = 16;

// Keys and values of one page and layer, in the type of the pool; those of the first key-value
// head.
struct KeyPage {
  const std::byte* keys = nullptr;    // [head_dim, 16]: one vector load gives 16 rows
  const std::byte* values = nullptr;  // [16, value_stride]
  int32_t begin = 0, end = 0;  // rows of the page that the query sees; what lies outside may be NaN
};

struct AttentionHeads {
  const float* queries = nullptr;  // [kv_heads, group, head_dim], already scaled
  int64_t kv_heads = 1;            // behind each other in a page
  int64_t group = 0;
  int64_t head_dim = 0;
  int64_t value_stride = 0;  // head_dim rounded up to 16
  float* out = nullptr;      // [kv_heads, group, head_dim]
  KvType type = KvType::kFloat32;
};

// Floats of scratch that Attention() needs.
int64_t AttentionScratch(int64_t kv_heads, int64_t group, int64_t pages, int64_t value_stride);

// `pages` holds at least one row. `scratch`: AttentionScratch() floats.
void Attention(const AttentionHeads& heads, std::span<const KeyPage> pages, float* scratch);
void AttentionReference(const AttentionHeads& heads, std::span<const KeyPage> pages);

// The weights that Attention() gives to the rows of the pages, softmax(q K^T), for the first query
// head of `heads`; bit for bit those of any group it is computed in. weights [pages, 16], 0 for
// rows that are not seen.
void AttentionWeights(const AttentionHeads& heads, std::span<const KeyPage> pages, float* weights);
void AttentionWeightsReference(const AttentionHeads& heads, std::span<const KeyPage> pages,
                               float* weights);

// Writes x[i] to out[i * step] in the type of the pool. fp16 rounds to nearest even; numbers beyond
// its range become its largest, NaN stays NaN.
void StoreKv(KvType type, const float* x, int64_t size, int64_t step, void* out);
// Entry `index` of keys or values; slow, for tests and inspection.
float LoadKv(KvType type, const void* from, int64_t index);

}  // namespace dragoman::model
