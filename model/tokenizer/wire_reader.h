// A bounded reader of the Protocol Buffers wire format, enough for SentencePiece model files. The
// generated reader cannot be used: the message definitions belong to a library that must not be
// linked (docs/ARCHITECTURE.md, "Why not"). Never reads outside the given bytes, allocates nothing.
// Thread-compatible.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/status.h"

namespace dragoman::model {

struct WireField {
  enum class Type { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };
  uint32_t number = 0;
  Type type = Type::kVarint;
  uint64_t value = 0;      // varint, fixed32, fixed64
  std::string_view bytes;  // kBytes; a view into the message
};

class WireReader {
 public:
  // `message` must outlive the reader and the fields that it gives.
  explicit WireReader(std::string_view message) : rest_(message), size_(message.size()) {}

  bool AtEnd() const { return rest_.empty(); }
  // Errors: DataLoss with the byte offset: truncated, length beyond the message, field number 0,
  // a wire type that does not exist or the group types, which no model file uses.
  absl::StatusOr<WireField> Next();

 private:
  absl::StatusOr<uint64_t> ReadVarint();
  absl::StatusOr<uint64_t> ReadFixed(size_t width);
  size_t offset() const { return size_ - rest_.size(); }

  std::string_view rest_;
  const size_t size_;
};

}  // namespace dragoman::model
