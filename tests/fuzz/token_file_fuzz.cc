// The file of clients: rows that were read have a class that exists and a credential that could be
// looked up; an error names a line and shows nothing of it.
#include "absl/strings/match.h"
#include "base/check.h"
#include "server/security/token_file.h"
#include "tests/fuzz/fuzz_input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto file = dragoman::server::ParseTokenFile(dragoman::fuzz::ToText(data, size));
  if (!file.ok()) {
    for (const char c : std::string(file.status().message())) DRAGOMAN_CHECK(c >= ' ' && c < 0x7F);
    return 0;
  }
  for (const auto& [credential, row] : file->rows) {
    DRAGOMAN_CHECK(absl::StartsWith(credential, "sha256:") || absl::StartsWith(credential, "san:"));
    DRAGOMAN_CHECK(!row.client.empty() && row.client.size() <= 64);
    DRAGOMAN_CHECK(row.translate || row.is_operator);
    DRAGOMAN_CHECK(row.quota_class == "default" || row.quota_class == "unlimited" ||
                   file->classes.count(row.quota_class) == 1);
  }
  return 0;
}
