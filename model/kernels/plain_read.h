// The yardstick of kernels that are bound by memory: a loop that only reads. Thread-safe.
#pragma once

#include <cstdint>

namespace dragoman::model {

// Exclusive or of all 8-byte words; `bytes` is a multiple of 256, `data` aligned to 64.
uint64_t XorOfWords(const void* data, int64_t bytes);

}  // namespace dragoman::model
