#include "model/kernels/packed_matrix.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "base/check.h"

namespace dragoman::model {
namespace {

constexpr size_t kAlignment = 64;

template <typename T, typename Convert>
void PackInto(const float* weights, int64_t outputs, int64_t inputs, T* out, Convert convert) {
  for (int64_t panel = 0; panel * PackedMatrix::kPanelOutputs < outputs; ++panel) {
    const int64_t first = panel * PackedMatrix::kPanelOutputs;
    const int64_t count = std::min(PackedMatrix::kPanelOutputs, outputs - first);
    for (int64_t k = 0; k < inputs; ++k) {
      for (int64_t o = 0; o < count; ++o) out[o] = convert(weights[(first + o) * inputs + k]);
      std::fill(out + count, out + PackedMatrix::kPanelOutputs, T{0});
      out += PackedMatrix::kPanelOutputs;
    }
  }
}

}  // namespace

void PackedMatrix::Free::operator()(void* memory) const { std::free(memory); }

int64_t PackedMatrix::bytes() const {
  const int64_t size = type_ == WeightType::kFloat32 ? 4 : 2;
  return num_panels() * kPanelOutputs * inputs_ * size;
}

PackedMatrix PackedMatrix::Pack(const float* weights, int64_t outputs, int64_t inputs,
                                WeightType type) {
  DRAGOMAN_CHECK(outputs > 0 && inputs > 0);
  PackedMatrix packed;
  packed.outputs_ = outputs;
  packed.inputs_ = inputs;
  packed.type_ = type;
  const size_t bytes = static_cast<size_t>(packed.bytes());
  packed.data_.reset(std::aligned_alloc(kAlignment, (bytes + kAlignment - 1) & ~(kAlignment - 1)));
  DRAGOMAN_CHECK_MSG(packed.data_ != nullptr, "no memory for weights");
  if (type == WeightType::kFloat32) {
    PackInto(weights, outputs, inputs, static_cast<float*>(packed.data_.get()),
             [](float value) { return value; });
  } else {
    PackInto(weights, outputs, inputs, static_cast<uint16_t*>(packed.data_.get()), &ToBfloat16);
  }
  return packed;
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
