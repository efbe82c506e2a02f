// Status vocabulary of Dragoman. What can fail returns absl::Status or absl::StatusOr<T>; each code
// has one meaning (docs/ARCHITECTURE.md, "Errors"):
//   InvalidArgument bad message, flag or file value    FailedPrecondition wrong order or package
//   NotFound unknown name or id                        OutOfRange position or capacity limit
//   ResourceExhausted admission or pages               Unavailable draining, retry elsewhere
//   DataLoss damaged file                              Unimplemented not built in
//   Internal our bug, or numbers that are not finite
#pragma once

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace dragoman {

// The same code with `context` and ": " before the message. OK stays OK.
absl::Status AddContext(const absl::Status& status, const std::string& context);

}  // namespace dragoman
