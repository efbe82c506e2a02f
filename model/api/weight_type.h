// Number formats of a backend's weight matrices.
#pragma once

#include <optional>
#include <string_view>

namespace dragoman::model {

// fp32 and bf16 keep or round single weights. int8 and int4 are quantised in groups of 64 and 32
// inputs of an output with one scale each, and so are the activations that meet them (8 bits).
enum class WeightType { kFloat32, kBfloat16, kInt8, kInt4 };

// "fp32", "bf16", "int8", "int4", as flags and descriptions have it.
constexpr std::string_view WeightTypeName(WeightType type) {
  switch (type) {
    case WeightType::kFloat32:
      return "fp32";
    case WeightType::kBfloat16:
      return "bf16";
    case WeightType::kInt8:
      return "int8";
    case WeightType::kInt4:
      return "int4";
  }
  return "";
}

constexpr std::optional<WeightType> ParseWeightType(std::string_view name) {
  for (const WeightType type :
       {WeightType::kFloat32, WeightType::kBfloat16, WeightType::kInt8, WeightType::kInt4}) {
    if (WeightTypeName(type) == name) return type;
  }
  return std::nullopt;
}

}  // namespace dragoman::model
