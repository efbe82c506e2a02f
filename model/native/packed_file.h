// Packed weights on disk beside the model, so that quantising happens once: packed.<type>.bin with
// a header of 4096 bytes (one JSON line: version, type, digest of the package's weights, size,
// SHA-256) and then the matrices in the order in which the backbone streams them.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "base/status.h"
#include "model/api/weight_type.h"

namespace dragoman::model {

constexpr size_t kPackedHeaderBytes = 4096;

struct PackedFileKey {
  std::string folder;  // of the package
  std::string digest;  // of its weights
  WeightType type = WeightType::kInt8;

  std::string path() const;
};

// Fills `image` (header, then matrices) from the file. Errors: NotFound (no file), DataLoss (of
// another package, version or size, or damaged): pack again then.
absl::Status ReadPackedFile(const PackedFileKey& key, std::span<std::byte> image);

// Writes `image`, whose header is filled in here; replaces a file that is there in one step.
// Errors: those of WriteFileAtomically(), such as a folder that is read-only.
absl::Status WritePackedFile(const PackedFileKey& key, std::span<std::byte> image);

}  // namespace dragoman::model
