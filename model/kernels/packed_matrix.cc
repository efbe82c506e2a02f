#include "model/kernels/packed_matrix.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "base/check.h"

namespace dragoman::model {
namespace {

constexpr size_t kAlignment = 64;
constexpr int64_t kPanel = PackedMatrix::kPanelOutputs;

template <typename T, typename Convert>
void PackWide(const float* weights, int64_t outputs, int64_t inputs, T* out, Convert convert) {
  for (int64_t panel = 0; panel * kPanel < outputs; ++panel) {
    const int64_t first = panel * kPanel;
    const int64_t count = std::min(kPanel, outputs - first);
    for (int64_t k = 0; k < inputs; ++k) {
      for (int64_t o = 0; o < count; ++o) out[o] = convert(weights[(first + o) * inputs + k]);
      std::fill(out + count, out + kPanel, T{0});
      out += kPanel;
    }
  }
}

// Nearest integers to w / scale within a range; returns the squared error.
float RoundGroup(const float* w, int64_t count, float scale, int low, int high, int8_t* q) {
  const float inverse = scale != 0 ? 1.0f / scale : 0.0f;
  float error = 0;
  for (int64_t i = 0; i < count; ++i) {
    const int value = std::clamp(static_cast<int>(std::lrint(w[i] * inverse)), low, high);
    q[i] = static_cast<int8_t>(value);
    const float difference = w[i] - scale * static_cast<float>(value);
    error += difference * difference;
  }
  return error;
}

// Weights are judged by what a bf16 scale makes of them.
float RoundScale(float scale) { return FromBfloat16(ToBfloat16(scale)); }

float QuantizeInt8(const float* w, int64_t count, int8_t* q) {
  float most = 0;
  for (int64_t i = 0; i < count; ++i) most = std::max(most, std::fabs(w[i]));
  const float scale = RoundScale(most / 127.0f);
  RoundGroup(w, count, scale, -127, 127, q);
  return scale;
}

// The range is -8..7 times a scale of either sign, so that the largest weight may be the -8.
float QuantizeInt4(const float* w, int64_t count, int8_t* q) {
  float most = 0;
  for (int64_t i = 0; i < count; ++i) {
    if (std::fabs(w[i]) > std::fabs(most)) most = w[i];
  }
  float best_scale = 0;
  float best_error = RoundGroup(w, count, 0, -8, 7, q);
  int8_t tried[QuantGroup(WeightType::kInt4)];
  for (int step = 0; step <= 12; ++step) {
    for (const float sign : {-1.0f, 1.0f}) {
      const float scale = RoundScale(sign * most / (6.5f + 0.25f * static_cast<float>(step)));
      const float error = RoundGroup(w, count, scale, -8, 7, tried);
      if (error < best_error) {
        best_error = error;
        best_scale = scale;
        std::copy(tried, tried + count, q);
      }
    }
  }
  return best_scale;
}

void PackQuantized(const float* weights, int64_t outputs, int64_t inputs, WeightType type,
                   int64_t block_bytes, uint8_t* out) {
  const int64_t group = QuantGroup(type);
  const bool wide = type == WeightType::kInt8;
  for (int64_t first = 0; first < outputs; first += kPanel) {
    for (int64_t k = 0; k < inputs; k += group, out += block_bytes) {
      uint8_t* const scales = out + block_bytes - 2 * kPanel;
      // Weights of zero, also those that fill up.
      std::memset(out, wide ? 0x80 : 0x88, static_cast<size_t>(scales - out));
      std::memset(scales, 0, 2 * kPanel);
      const int64_t count = std::min(group, inputs - k);
      for (int64_t o = 0; o < std::min(kPanel, outputs - first); ++o) {
        int8_t q[64] = {};
        const float* w = weights + (first + o) * inputs + k;
        const float scale = wide ? QuantizeInt8(w, count, q) : QuantizeInt4(w, count, q);
        const uint16_t bits = ToBfloat16(scale);
        std::memcpy(scales + 2 * o, &bits, sizeof(bits));
        for (int64_t i = 0; i < count; ++i) {
          const int64_t step = i / 4, lane = o * 4 + i % 4;
          if (wide) {
            out[step * 4 * kPanel + lane] = static_cast<uint8_t>(q[i] + 128);
          } else {
            uint8_t& byte = out[step / 2 * 4 * kPanel + lane];
            const auto value = static_cast<unsigned>(q[i] + 8);
            byte = static_cast<uint8_t>(step % 2 == 0 ? (byte & 0xF0u) | value
                                                      : (byte & 0x0Fu) | (value << 4));
          }
        }
      }
    }
  }
}

}  // namespace

void PackedMatrix::Free::operator()(void* memory) const { std::free(memory); }

int64_t PackedMatrix::block_bytes() const {
  const int64_t weights = QuantGroup(type_) * kPanel;
  return (type_ == WeightType::kInt8 ? weights : weights / 2) + 2 * kPanel;
}

int64_t PackedMatrix::panel_bytes() const {
  if (IsQuantized(type_)) return num_groups() * block_bytes();
  return kPanel * inputs_ * (type_ == WeightType::kFloat32 ? 4 : 2);
}

PackedMatrix PackedMatrix::View(const void* data, int64_t outputs, int64_t inputs,
                                WeightType type) {
  DRAGOMAN_CHECK(outputs > 0 && inputs > 0);
  PackedMatrix packed;
  packed.outputs_ = outputs;
  packed.inputs_ = inputs;
  packed.type_ = type;
  packed.data_ = data;
  return packed;
}

PackedMatrix PackedMatrix::PackInto(const float* weights, int64_t outputs, int64_t inputs,
                                    WeightType type, void* data) {
  const PackedMatrix packed = View(data, outputs, inputs, type);
  switch (type) {
    case WeightType::kFloat32:
      PackWide(weights, outputs, inputs, static_cast<float*>(data), [](float w) { return w; });
      break;
    case WeightType::kBfloat16:
      PackWide(weights, outputs, inputs, static_cast<uint16_t*>(data), &ToBfloat16);
      break;
    case WeightType::kInt8:
    case WeightType::kInt4:
      PackQuantized(weights, outputs, inputs, type, packed.block_bytes(),
                    static_cast<uint8_t*>(data));
      break;
  }
  return View(data, outputs, inputs, type);
}

PackedMatrix PackedMatrix::Pack(const float* weights, int64_t outputs, int64_t inputs,
                                WeightType type) {
  const auto bytes = static_cast<size_t>(View(nullptr, outputs, inputs, type).bytes());
  std::unique_ptr<void, Free> data(
      std::aligned_alloc(kAlignment, (bytes + kAlignment - 1) & ~(kAlignment - 1)));
  DRAGOMAN_CHECK_MSG(data != nullptr, "no memory for weights");
  PackedMatrix packed = PackInto(weights, outputs, inputs, type, data.get());
  packed.owned_ = std::move(data);
  return packed;
}

double PackedMatrix::Weight(int64_t output, int64_t input) const {
  const int64_t lane = output % kPanel;
  if (type_ == WeightType::kFloat32) {
    return static_cast<double>(float32_panel(output / kPanel)[input * kPanel + lane]);
  }
  if (type_ == WeightType::kBfloat16) {
    const uint16_t bits = bfloat16_panel(output / kPanel)[input * kPanel + lane];
    return static_cast<double>(FromBfloat16(bits));
  }
  const int64_t group = QuantGroup(type_), step = input % group / 4;
  const uint8_t* block = panel(output / kPanel) + input / group * block_bytes();
  uint16_t scale = 0;
  std::memcpy(&scale, block + block_bytes() - 2 * kPanel + 2 * lane, sizeof(scale));
  const int64_t at = lane * 4 + input % 4;
  const int value = type_ == WeightType::kInt8
                        ? block[step * 4 * kPanel + at] - 128
                        : ((block[step / 2 * 4 * kPanel + at] >> (step % 2 * 4)) & 0x0F) - 8;
  return static_cast<double>(FromBfloat16(scale)) * value;
}

uint16_t ToBfloat16(float value) {
  uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof(bits));
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return static_cast<uint16_t>((bits >> 16) | 0x40u);
  return static_cast<uint16_t>((bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16);
}

float FromBfloat16(uint16_t value) {
  const uint32_t bits = static_cast<uint32_t>(value) << 16;
  float result = 0;
  std::memcpy(&result, &bits, sizeof(result));
  return result;
}

}  // namespace dragoman::model
