#include "model/native/packed_file.h"

#include <algorithm>
#include <cstring>
#include <string_view>

#include "base/file.h"
#include "base/json.h"
#include "base/sha256.h"
#include "base/status_macros.h"

namespace dragoman::model {
namespace {

// Changes with the order of bytes in PackedMatrix and with how weights are rounded.
constexpr int kPackedVersion = 2;

std::string_view Text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string Header(const PackedFileKey& key, std::span<const std::byte> matrices) {
  Json header = Json::object();
  header["format"] = "dragoman-packed";
  header["version"] = kPackedVersion;
  header["weights"] = std::string(WeightTypeName(key.type));
  header["model_digest"] = key.digest;
  header["bytes"] = matrices.size();
  header["sha256"] = Sha256Hex(Text(matrices));
  std::string line = DumpJson(header, -1);
  line.resize(kPackedHeaderBytes - 1, ' ');
  return line + '\n';
}

}  // namespace

std::string PackedFileKey::path() const {
  return folder + "/packed." + std::string(WeightTypeName(type)) + ".bin";
}

absl::Status ReadPackedFile(const PackedFileKey& key, std::span<std::byte> image) {
  DRAGOMAN_ASSIGN_OR_RETURN(const std::unique_ptr<MappedFile> file, MappedFile::Open(key.path()));
  const std::string_view bytes = file->bytes();
  if (bytes.size() != image.size()) {
    return absl::DataLossError(
        absl::StrCat(key.path(), ": has ", bytes.size(), " bytes, expected ", image.size()));
  }
  std::memcpy(image.data(), bytes.data(), bytes.size());
  // The header is a function of key and matrices: equal means of this model, and whole.
  if (Text(image.first(kPackedHeaderBytes)) != Header(key, image.subspan(kPackedHeaderBytes))) {
    return absl::DataLossError(absl::StrCat(key.path(), ": damaged, or of another model"));
  }
  return absl::OkStatus();
}

absl::Status WritePackedFile(const PackedFileKey& key, std::span<std::byte> image) {
  const std::string header = Header(key, image.subspan(kPackedHeaderBytes));
  std::memcpy(image.data(), header.data(), header.size());
  return WriteFileAtomically(key.path(), Text(image));
}

}  // namespace dragoman::model
