#include "model/native/kv_pool.h"

#include <algorithm>
#include <limits>

#include "base/check.h"
#include "model/kernels/attention.h"

namespace dragoman::model {
namespace {

static_assert(kKeyPageRows == kPageRows);

int64_t RoundUp(int64_t value, int64_t step) { return (value + step - 1) / step * step; }

}  // namespace

KvPool::KvPool(const ModelConfig& config, KvType type, size_t pages)
    : type_(type),
      kv_heads_(config.num_kv_heads),
      head_dim_(config.head_dim),
      value_stride_(RoundUp(config.head_dim, kKeyPageRows)),
      page_entries_(kv_heads_ * kPageRows * (head_dim_ + value_stride_)) {
  for (int64_t layer = 0; layer < config.num_layers; ++layer) {
    memory_.emplace_back();
    if (!config.modules_of(layer).attention) continue;
    memory_.back() = LargeMemory::Map(pages * static_cast<size_t>(page_bytes()));
    DRAGOMAN_CHECK_MSG(memory_.back().data() != nullptr, "no memory for the KV pool");
  }
}

void KvPool::Store(int64_t layer, PageId page, int64_t slot, int64_t head, const float* key,
                   const float* value) const {
  const int64_t entry = KvTypeBytes(type_);
  StoreKv(type_, key, head_dim_, kPageRows, Keys(layer, page, head) + slot * entry);
  std::byte* const values = Values(layer, page, head) + slot * value_stride_ * entry;
  StoreKv(type_, value, head_dim_, 1, values);
  std::fill(values + head_dim_ * entry, values + value_stride_ * entry, std::byte{0});
}

void KvPool::Read(int64_t layer, PageId page, int64_t slot, bool keys,
                  std::vector<float>* out) const {
  if (memory_[static_cast<size_t>(layer)].data() == nullptr) return;
  for (int64_t head = 0; head < kv_heads_; ++head) {
    for (int64_t i = 0; i < head_dim_; ++i) {
      out->push_back(keys ? LoadKv(type_, Keys(layer, page, head), i * kPageRows + slot)
                          : LoadKv(type_, Values(layer, page, head), slot * value_stride_ + i));
    }
  }
}

void KvPool::Poison(PageId page) const {
  const std::vector<float> nothing(static_cast<size_t>(page_entries_),
                                   std::numeric_limits<float>::quiet_NaN());
  for (size_t layer = 0; layer < memory_.size(); ++layer) {
    if (memory_[layer].data() == nullptr) continue;
    StoreKv(type_, nothing.data(), page_entries_, 1, Keys(static_cast<int64_t>(layer), page, 0));
  }
}

}  // namespace dragoman::model
