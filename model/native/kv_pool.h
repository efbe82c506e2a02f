// The memory behind the pages of the key-value cache: where the numbers of a page lie and in what
// type. Which rows a page holds is the cache's business (model/kv_cache). Reading and writing of
// different rows may go on at once; Poison() needs the page alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "model/api/kv_type.h"
#include "model/api/model_config.h"
#include "model/kv_cache/page_allocator.h"
#include "model/native/large_memory.h"

namespace dragoman::model {

class KvPool {
 public:
  // Pages of every layer that has attention. Stops the program when there is no memory.
  KvPool(const ModelConfig& config, KvType type, size_t pages);

  KvType type() const { return type_; }
  // Entries from one value row to the next; more than head_dim where that is no multiple of a page.
  int64_t value_stride() const { return value_stride_; }
  // Of one page of one layer.
  int64_t page_bytes() const { return page_entries_ * KvTypeBytes(type_); }

  // A page of a layer: keys [kv_heads, head_dim, page rows], then values [kv_heads, page rows,
  // value_stride].
  std::byte* Keys(int64_t layer, PageId page, int64_t head) const {
    return memory_[static_cast<size_t>(layer)].data() +
           KvTypeBytes(type_) * (page * page_entries_ + head * kPageRows * head_dim_);
  }
  std::byte* Values(int64_t layer, PageId page, int64_t head) const {
    return Keys(layer, page, kv_heads_) + KvTypeBytes(type_) * head * kPageRows * value_stride_;
  }

  // key, value: [head_dim].
  void Store(int64_t layer, PageId page, int64_t slot, int64_t head, const float* key,
             const float* value) const;
  // Appends the keys or the values of a row, [kv_heads, head_dim]; nothing for a layer without
  // attention.
  void Read(int64_t layer, PageId page, int64_t slot, bool keys, std::vector<float>* out) const;
  // Fills a page with NaN in all layers.
  void Poison(PageId page) const;

 private:
  const KvType type_;
  const int64_t kv_heads_, head_dim_, value_stride_;
  const int64_t page_entries_;       // of one layer
  std::vector<LargeMemory> memory_;  // [layers][pages, page_entries]; empty without attention
};

}  // namespace dragoman::model
