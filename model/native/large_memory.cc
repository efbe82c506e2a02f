#include "model/native/large_memory.h"

#include <sys/mman.h>

#include <cstdint>

namespace dragoman::model {
namespace {

constexpr size_t kLargePage = size_t{2} << 20;

void* MapAnonymous(size_t bytes) {
  return mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
              -1, 0);
}

}  // namespace

void UnmapMemory::operator()(std::byte* memory) const { munmap(memory, bytes); }

LargeMemory LargeMemory::Map(size_t bytes) {
  // Room to begin at a large page; what lies before and behind is given back.
  void* const start = MapAnonymous(bytes + kLargePage);
  if (start == MAP_FAILED) return {};
  auto* const from = static_cast<std::byte*>(start);
  const size_t skipped = (kLargePage - reinterpret_cast<uintptr_t>(from) % kLargePage) % kLargePage;
  const size_t kept = (bytes + 4095) / 4096 * 4096;
  if (skipped > 0) munmap(from, skipped);
  munmap(from + skipped + kept, kLargePage - skipped + bytes - kept);
  LargeMemory memory;
  memory.memory_ = {from + skipped, UnmapMemory{kept}};
#ifdef MADV_HUGEPAGE
  madvise(from + skipped, kept, MADV_HUGEPAGE);  // a wish
#endif
  return memory;
}

}  // namespace dragoman::model
