#include "base/status.h"

#include <string>

namespace dragoman {

absl::Status AddContext(const absl::Status& status, const std::string& context) {
  if (status.ok()) return status;
  return absl::Status(status.code(), absl::StrCat(context, ": ", status.message()));
}

}  // namespace dragoman
