#include "server/lifecycle/memory_limit.h"

#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <fstream>

namespace dragoman::server {

size_t MemoryLimitBytes() {
  size_t limit =
      static_cast<size_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<size_t>(sysconf(_SC_PAGE_SIZE));
  for (const char* path :
       {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}) {
    std::ifstream file(path);
    uint64_t bytes = 0;
    // "max", or a number beyond every machine, is no limit.
    if (file >> bytes && bytes > 0) limit = std::min(limit, static_cast<size_t>(bytes));
  }
  return limit;
}

}  // namespace dragoman::server
