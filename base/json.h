// JSON behind Status: nlohmann/json with limits on size and depth and with duplicate keys refused.
// The value type is nlohmann's; only base includes its header, others use the alias Json.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "nlohmann/json.hpp"

namespace dragoman {

// Keys keep the order of the file.
using Json = nlohmann::ordered_json;

struct JsonLimits {
  size_t max_bytes = size_t{64} << 20;
  int max_depth = 64;
};

// Parses one whole UTF-8 document. Errors: InvalidArgument with byte offset for syntax, invalid
// UTF-8, duplicate key, size or depth over the limits. Never throws. No comments, no BOM.
absl::StatusOr<Json> ParseJson(std::string_view text, const JsonLimits& limits = {});

// Reads and parses a file; the path is part of each message.
absl::StatusOr<Json> ReadJsonFile(const std::string& path, const JsonLimits& limits = {});

// Writes without exceptions: ill-formed UTF-8 becomes U+FFFD. indent < 0: one line.
std::string DumpJson(const Json& value, int indent = -1);

// Typed field access. `where` names the file for messages, as in "config.json". An absent field is
// NotFound, a value of another type or out of [min, max] InvalidArgument with name and limit.
absl::StatusOr<int64_t> GetInt(const Json& object, const std::string& field,
                               const std::string& where, int64_t min, int64_t max);
absl::StatusOr<double> GetDouble(const Json& object, const std::string& field,
                                 const std::string& where);
absl::StatusOr<std::string> GetString(const Json& object, const std::string& field,
                                      const std::string& where);
absl::StatusOr<bool> GetBool(const Json& object, const std::string& field,
                             const std::string& where);

}  // namespace dragoman
