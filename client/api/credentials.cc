#include "client/api/credentials.h"

#include "absl/strings/ascii.h"
#include "absl/strings/strip.h"
#include "base/file.h"
#include "base/status_macros.h"

namespace dragoman::client {
namespace {

constexpr size_t kMaxPemBytes = size_t{4} << 20;
constexpr size_t kMaxTokenBytes = 4000;

absl::Status ReadInto(const std::string& path, std::string* text) {
  if (path.empty()) return absl::OkStatus();
  DRAGOMAN_ASSIGN_OR_RETURN(*text, ReadFile(path, kMaxPemBytes));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Credentials> LoadCredentials(const ChannelOptions& options) {
  Credentials credentials;
  DRAGOMAN_RETURN_IF_ERROR(ReadInto(options.ca_file, &credentials.authorities));
  DRAGOMAN_RETURN_IF_ERROR(ReadInto(options.cert_file, &credentials.certificate));
  DRAGOMAN_RETURN_IF_ERROR(ReadInto(options.key_file, &credentials.key));
  if (options.token_file.empty()) return credentials;
  DRAGOMAN_ASSIGN_OR_RETURN(credentials.token, ReadFile(options.token_file, kMaxTokenBytes));
  absl::StripAsciiWhitespace(&credentials.token);
  bool good = !credentials.token.empty();
  for (const char c : credentials.token) good = good && c > ' ' && c < 0x7F;
  if (good) return credentials;
  return absl::InvalidArgumentError(
      absl::StrCat(options.token_file, ": is not one token of visible characters"));
}

}  // namespace dragoman::client
