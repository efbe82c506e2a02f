#include "model/package/plain_name.h"

#include "absl/strings/escaping.h"
#include "base/strings.h"

namespace dragoman::model {

std::string QuotedName(std::string_view name) {
  constexpr size_t kMaxShown = 80;
  const bool cut = name.size() > kMaxShown;
  return absl::StrCat("\"", absl::CHexEscape(ToAbsl(name.substr(0, kMaxShown))),
                      cut ? "...\"" : "\"");
}

absl::Status CheckPlainFileName(std::string_view name) {
  bool plain = !name.empty() && name != "." && name != "..";
  for (const char c : name) {
    if (c == '/' || c == '\\' || static_cast<unsigned char>(c) < 0x20 || c == 0x7F) plain = false;
  }
  if (plain) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(QuotedName(name), " is not a plain file name inside the package folder"));
}

}  // namespace dragoman::model
