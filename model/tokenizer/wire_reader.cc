#include "model/tokenizer/wire_reader.h"

#include "base/status_macros.h"

namespace dragoman::model {

absl::StatusOr<uint64_t> WireReader::ReadVarint() {
  const size_t start = offset();
  uint64_t value = 0;
  for (int shift = 0; shift < 70; shift += 7) {
    if (rest_.empty()) {
      return absl::DataLossError(absl::StrFormat("number at byte %d is cut off", start));
    }
    const auto byte = static_cast<unsigned char>(rest_[0]);
    rest_.remove_prefix(1);
    if (shift == 63 && byte > 1) break;
    value |= static_cast<uint64_t>(byte & 0x7F) << shift;
    if ((byte & 0x80) == 0) return value;
  }
  return absl::DataLossError(absl::StrFormat("number at byte %d is longer than 64 bits", start));
}

absl::StatusOr<uint64_t> WireReader::ReadFixed(size_t width) {
  if (rest_.size() < width) {
    return absl::DataLossError(absl::StrFormat("number at byte %d is cut off", offset()));
  }
  uint64_t value = 0;
  for (size_t i = 0; i < width; ++i) {
    value |= static_cast<uint64_t>(static_cast<unsigned char>(rest_[i])) << (8 * i);
  }
  rest_.remove_prefix(width);
  return value;
}

absl::StatusOr<WireField> WireReader::Next() {
  const size_t start = offset();
  DRAGOMAN_ASSIGN_OR_RETURN(const uint64_t tag, ReadVarint());
  WireField field;
  if ((tag >> 3) == 0 || (tag >> 3) > 0x1FFFFFFF) {
    return absl::DataLossError(
        absl::StrFormat("field number %d at byte %d is out of range", tag >> 3, start));
  }
  field.number = static_cast<uint32_t>(tag >> 3);
  switch (tag & 7) {
    case 0: {
      field.type = WireField::Type::kVarint;
      DRAGOMAN_ASSIGN_OR_RETURN(field.value, ReadVarint());
      return field;
    }
    case 1: {
      field.type = WireField::Type::kFixed64;
      DRAGOMAN_ASSIGN_OR_RETURN(field.value, ReadFixed(8));
      return field;
    }
    case 2: {
      field.type = WireField::Type::kBytes;
      DRAGOMAN_ASSIGN_OR_RETURN(const uint64_t length, ReadVarint());
      if (length > rest_.size()) {
        return absl::DataLossError(
            absl::StrFormat("field %d at byte %d claims %d bytes, %d are left", field.number, start,
                            length, rest_.size()));
      }
      field.bytes = rest_.substr(0, length);
      rest_.remove_prefix(length);
      return field;
    }
    case 5: {
      field.type = WireField::Type::kFixed32;
      DRAGOMAN_ASSIGN_OR_RETURN(field.value, ReadFixed(4));
      return field;
    }
    default:
      return absl::DataLossError(
          absl::StrFormat("field %d at byte %d has wire type %d", field.number, start, tag & 7));
  }
}

}  // namespace dragoman::model
