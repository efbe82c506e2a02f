// Number formats of cached keys and values.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace dragoman::model {

enum class KvType { kFloat32, kFloat16 };

constexpr int64_t KvTypeBytes(KvType type) { return type == KvType::kFloat32 ? 4 : 2; }

// "fp32", "fp16", as flags and descriptions have it.
constexpr std::string_view KvTypeName(KvType type) {
  return type == KvType::kFloat32 ? "fp32" : "fp16";
}

constexpr std::optional<KvType> ParseKvType(std::string_view name) {
  if (name == "fp32") return KvType::kFloat32;
  if (name == "fp16") return KvType::kFloat16;
  return std::nullopt;
}

}  // namespace dragoman::model
