#include "model/package/float_conversion.h"

#include <bit>
#include <cmath>
#include <cstring>

namespace dragoman::model {
namespace {

static_assert(std::endian::native == std::endian::little, "weights are read in place");

// Tensor data may lie at any address: the header may have an odd length.
template <typename T>
T ReadAt(std::string_view bytes, size_t index) {
  T value;
  std::memcpy(&value, bytes.data() + index * sizeof(T), sizeof(T));
  return value;
}

// Finite means: the exponent bits are not all set.
template <typename T>
bool NoExponentFull(std::string_view bytes, T exponent_mask) {
  const size_t count = bytes.size() / sizeof(T);
  unsigned bad = 0;  // summed without a branch, so that the loop runs at memory speed
  for (size_t i = 0; i < count; ++i) {
    bad |= static_cast<unsigned>((ReadAt<T>(bytes, i) & exponent_mask) == exponent_mask);
  }
  return bad == 0;
}

template <typename T, typename Convert>
std::vector<float> DecodeAs(std::string_view bytes, Convert convert) {
  std::vector<float> values(bytes.size() / sizeof(T));
  for (size_t i = 0; i < values.size(); ++i) values[i] = convert(ReadAt<T>(bytes, i));
  return values;
}

}  // namespace

uint16_t FloatToBfloat16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if (std::isnan(value)) return static_cast<uint16_t>((bits >> 16) | 0x0040);
  return static_cast<uint16_t>((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
}

float Bfloat16ToFloat(uint16_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

float Float16ToFloat(uint16_t bits) {
  const int exponent = (bits >> 10) & 0x1F;
  const int mantissa = bits & 0x3FF;
  float value;
  if (exponent == 0x1F) {
    value = mantissa == 0 ? HUGE_VALF : NAN;
  } else if (exponent == 0) {
    value = std::ldexp(static_cast<float>(mantissa), -24);
  } else {
    value = std::ldexp(static_cast<float>(mantissa + 0x400), exponent - 25);
  }
  return (bits & 0x8000) != 0 ? -value : value;
}

absl::StatusOr<std::vector<float>> DecodeFloats(const TensorView& view) {
  switch (view.dtype) {
    case DType::kF32:
      return DecodeAs<float>(view.bytes, [](float v) { return v; });
    case DType::kF64:
      return DecodeAs<double>(view.bytes, [](double v) { return static_cast<float>(v); });
    case DType::kBF16:
      return DecodeAs<uint16_t>(view.bytes, Bfloat16ToFloat);
    case DType::kF16:
      return DecodeAs<uint16_t>(view.bytes, Float16ToFloat);
    default:
      return absl::UnimplementedError(
          absl::StrCat("dtype ", DTypeName(view.dtype), " is not a float type"));
  }
}

absl::StatusOr<std::string> EncodeFloats(std::span<const float> values, DType dtype) {
  std::string bytes;
  if (dtype == DType::kF32) {
    bytes.assign(reinterpret_cast<const char*>(values.data()), values.size_bytes());
    return bytes;
  }
  if (dtype != DType::kBF16) {
    return absl::UnimplementedError(
        absl::StrCat("weights are written as F32 or BF16, not ", DTypeName(dtype)));
  }
  bytes.resize(values.size() * sizeof(uint16_t));
  for (size_t i = 0; i < values.size(); ++i) {
    const uint16_t bits = FloatToBfloat16(values[i]);
    std::memcpy(bytes.data() + i * sizeof(bits), &bits, sizeof(bits));
  }
  return bytes;
}

bool AllFinite(const TensorView& view) {
  switch (view.dtype) {
    case DType::kF64:
      return NoExponentFull<uint64_t>(view.bytes, 0x7FF0000000000000ull);
    case DType::kF32:
      return NoExponentFull<uint32_t>(view.bytes, 0x7F800000u);
    case DType::kBF16:
      return NoExponentFull<uint16_t>(view.bytes, 0x7F80u);
    case DType::kF16:
      return NoExponentFull<uint16_t>(view.bytes, 0x7C00u);
    default:
      return true;
  }
}

}  // namespace dragoman::model
