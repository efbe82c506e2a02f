// Memory for weights and for the KV pool: zeroed when first touched, so what is never used costs
// nothing, and in large pages where the system has them. Kernels stream weights and jump between
// pages of the pool; with pages of 4 KiB both wait for address translation.
#pragma once

#include <cstddef>
#include <memory>

namespace dragoman::model {

struct UnmapMemory {
  size_t bytes = 0;
  void operator()(std::byte* memory) const;
};

class LargeMemory {
 public:
  LargeMemory() = default;
  // Aligned to 4096 bytes at least. data() is null when there is no memory. bytes > 0.
  static LargeMemory Map(size_t bytes);

  std::byte* data() const { return memory_.get(); }
  size_t size() const { return memory_.get_deleter().bytes; }

 private:
  std::unique_ptr<std::byte, UnmapMemory> memory_;
};

}  // namespace dragoman::model
