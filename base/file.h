// Files: whole reads with a limit, read-only mappings, and writes that are either whole or absent.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"

namespace dragoman {

// Reads a whole file. Errors: NotFound; InvalidArgument when larger than `max_bytes` or not a
// regular file; DataLoss when reading fails.
absl::StatusOr<std::string> ReadFile(const std::string& path, size_t max_bytes = size_t{1} << 30);

// Writes `content` to a temporary file beside `path`, syncs and renames it, so that a reader or a
// crash sees the old file or the new one. Errors: Unavailable with path and errno text.
absl::Status WriteFileAtomically(const std::string& path, std::string_view content);

// Makes `temporary` the folder `target`: syncs its files, removes an old `target`, renames.
// A crash leaves one of the two complete.
absl::Status ReplaceDirectory(const std::string& temporary, const std::string& target);

// Read-only mapping of a regular file. The bytes stay valid for the life of the object.
// Thread-compatible.
class MappedFile {
 public:
  // Errors: NotFound, InvalidArgument (not a regular file), DataLoss (cannot be mapped).
  static absl::StatusOr<std::unique_ptr<MappedFile>> Open(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::string_view bytes() const { return {static_cast<const char*>(address_), size_}; }

 private:
  MappedFile(void* address, size_t size) : address_(address), size_(size) {}
  void* const address_;
  const size_t size_;
};

}  // namespace dragoman
