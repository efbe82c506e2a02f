#include "tests/conformance/npy_file.h"

#include <cstdio>
#include <cstring>

#include "base/file.h"
#include "base/status_macros.h"

namespace dragoman::model {

absl::StatusOr<NpyMatrix> ReadNpyMatrix(const std::string& path) {
  constexpr size_t kPrefix = 10;
  DRAGOMAN_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path));
  const absl::Status bad =
      absl::DataLossError(absl::StrCat(path, ": is no float32 matrix in .npy format"));
  if (bytes.size() < kPrefix || bytes.compare(0, 8, std::string("\x93NUMPY\x01\x00", 8)) != 0) {
    return bad;
  }
  const size_t header_size =
      static_cast<unsigned char>(bytes[8]) + (size_t{static_cast<unsigned char>(bytes[9])} << 8);
  if (bytes.size() < kPrefix + header_size) return bad;
  const std::string header = bytes.substr(kPrefix, header_size);
  const size_t shape = header.find("'shape': (");
  long long rows = 0, columns = 0;
  if (header.find("'<f4'") == std::string::npos || shape == std::string::npos ||
      header.find("'fortran_order': False") == std::string::npos ||
      std::sscanf(header.c_str() + shape, "'shape': (%lld, %lld)", &rows, &columns) != 2) {
    return bad;
  }
  NpyMatrix matrix;
  matrix.rows = rows;
  matrix.columns = columns;
  const size_t data = bytes.size() - kPrefix - header_size;
  if (rows < 0 || columns < 0 || data != static_cast<size_t>(rows * columns) * sizeof(float)) {
    return bad;
  }
  matrix.values.resize(rows * columns);
  std::memcpy(matrix.values.data(), bytes.data() + kPrefix + header_size, data);
  return matrix;
}

}  // namespace dragoman::model
