// How much memory this process may have.
#pragma once

#include <cstddef>

namespace dragoman::server {

// The limit of the container (control groups, version 2 or 1), or the memory of the machine.
size_t MemoryLimitBytes();

}  // namespace dragoman::server
