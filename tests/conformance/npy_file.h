// Reads two-dimensional little-endian float32 arrays in NumPy's .npy format, version 1. For golden
// files.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"

namespace dragoman::model {

struct NpyMatrix {
  int64_t rows = 0;
  int64_t columns = 0;
  std::vector<float> values;  // [rows, columns]

  const float* row(int64_t index) const { return values.data() + index * columns; }
};

// Errors: those of ReadFile(); DataLoss for any other format.
absl::StatusOr<NpyMatrix> ReadNpyMatrix(const std::string& path);

}  // namespace dragoman::model
