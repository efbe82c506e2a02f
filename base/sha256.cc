#include "base/sha256.h"

#include <array>

#include "absl/strings/escaping.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "openssl/evp.h"

namespace dragoman {

std::string Sha256Hex(std::string_view bytes) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned int size = 0;
  EVP_Digest(bytes.data(), bytes.size(), digest.data(), &size, EVP_sha256(), nullptr);
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(digest.data()), size));
}

absl::StatusOr<std::string> Sha256HexOfFile(const std::string& path) {
  DRAGOMAN_ASSIGN_OR_RETURN(const std::unique_ptr<MappedFile> file, MappedFile::Open(path));
  return Sha256Hex(file->bytes());
}

}  // namespace dragoman
