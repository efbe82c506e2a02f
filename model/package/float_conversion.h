// Weights between their stored element type and float.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "model/package/safetensors.h"

namespace dragoman::model {

// Nearest bfloat16, ties to even; NaN stays NaN.
uint16_t FloatToBfloat16(float value);
float Bfloat16ToFloat(uint16_t bits);
// IEEE half precision, subnormals, infinities and NaN included. Exact.
float Float16ToFloat(uint16_t bits);

// Elements of an F32, F16, BF16 or F64 tensor. Errors: Unimplemented for other types.
absl::StatusOr<std::vector<float>> DecodeFloats(const TensorView& view);

// Little-endian bytes as F32 or BF16. Errors: Unimplemented for other types.
absl::StatusOr<std::string> EncodeFloats(std::span<const float> values, DType dtype);

// Whether no element is infinite or NaN; integer types always are.
bool AllFinite(const TensorView& view);

}  // namespace dragoman::model
