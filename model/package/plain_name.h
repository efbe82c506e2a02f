// Names that come from files: how to show them and which of them may be opened.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace dragoman::model {

// `name` in double quotes, control and non-ASCII bytes escaped, cut after 80 bytes: safe in a
// message on a terminal.
std::string QuotedName(std::string_view name);

// InvalidArgument unless `name` is the plain name of a file in the same folder: not empty, no slash
// or backslash, no control character, not "." or "..".
absl::Status CheckPlainFileName(std::string_view name);

}  // namespace dragoman::model
