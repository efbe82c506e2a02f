// JSON text of a package file: the parser of base with errors as damage. For this room only.
#pragma once

#include <string_view>

#include "base/json.h"
#include "base/status.h"

namespace dragoman::model {

// Errors: DataLoss for anything that is not one JSON document. A NUL byte is refused here: the
// parser below would take it for the end of the text.
absl::StatusOr<Json> ParsePackageJson(std::string_view text, const JsonLimits& limits);

}  // namespace dragoman::model
