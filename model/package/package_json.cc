#include "model/package/package_json.h"

namespace dragoman::model {

absl::StatusOr<Json> ParsePackageJson(std::string_view text, const JsonLimits& limits) {
  if (text.find('\0') != std::string_view::npos) {
    return absl::DataLossError("bad JSON: NUL byte in the text");
  }
  absl::StatusOr<Json> json = ParseJson(text, limits);
  if (json.ok()) return json;
  return absl::DataLossError(std::string(json.status().message()));
}

}  // namespace dragoman::model
