// SHA-256 of bytes and files, as lower-case hex (OpenSSL behind one function).
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace dragoman {

std::string Sha256Hex(std::string_view bytes);
// Errors: those of MappedFile::Open().
absl::StatusOr<std::string> Sha256HexOfFile(const std::string& path);

}  // namespace dragoman
