// Reader and writer of the safetensors format. The reader maps the file, checks the header and
// every offset against the file before use, and never allocates by a size that the file claims.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/status.h"

namespace dragoman::model {

enum class DType { kF64, kF32, kF16, kBF16, kI64, kI32, kI16, kI8, kU8, kBool };
size_t DTypeBytes(DType dtype);
const char* DTypeName(DType dtype);

// Borrowed: valid while the file object lives. Little endian, row-major.
struct TensorView {
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;
  std::string_view bytes;

  int64_t num_elements() const;
};

class SafetensorsFile {
 public:
  // Errors: NotFound (also for a folder in place of a file); DataLoss with the reason (truncated,
  // overlapping, gap, duplicate key, header over 100 MB or `max_header_bytes`, dtype unknown, shape
  // and bytes disagree,
  // ...); Unimplemented for the dtypes of the format that DType lacks.
  static absl::StatusOr<std::unique_ptr<SafetensorsFile>> Open(const std::string& path,
                                                               uint64_t max_header_bytes = 1ull
                                                                                           << 40);

  const std::map<std::string, TensorView, std::less<>>& tensors() const { return tensors_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }

 private:
  SafetensorsFile() = default;
  absl::Status Parse(uint64_t max_header_bytes);

  std::unique_ptr<MappedFile> file_;
  std::map<std::string, TensorView, std::less<>> tensors_;
  std::map<std::string, std::string> metadata_;
};

struct NamedTensor {
  std::string name;
  TensorView view;
};
// Whole file as bytes, tensors in the given order, header padded to 8 bytes.
// Errors: InvalidArgument (name double, reserved or not UTF-8; bytes and shape disagree).
absl::StatusOr<std::string> SerializeSafetensors(
    const std::vector<NamedTensor>& tensors, const std::map<std::string, std::string>& metadata);

}  // namespace dragoman::model
