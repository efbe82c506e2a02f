// Weights of one linear layer in the order in which the kernels stream them: panels of 32 outputs,
// in a panel the 32 weights of input 0, then those of input 1 and so on. The last panel is filled
// up with zeros. Immutable after Pack(), therefore thread-safe.
#pragma once

#include <cstdint>
#include <memory>

namespace dragoman::model {

// bf16 keeps the upper half of an fp32; products and sums are fp32 for both.
enum class WeightType { kFloat32, kBfloat16 };

class PackedMatrix {
 public:
  static constexpr int64_t kPanelOutputs = 32;

  PackedMatrix() = default;
  // `weights`: [outputs, inputs], row-major, as y = W x. bf16 rounds to nearest even.
  static PackedMatrix Pack(const float* weights, int64_t outputs, int64_t inputs, WeightType type);

  int64_t outputs() const { return outputs_; }
  int64_t inputs() const { return inputs_; }
  int64_t num_panels() const { return (outputs_ + kPanelOutputs - 1) / kPanelOutputs; }
  WeightType type() const { return type_; }
  int64_t bytes() const;

  // [inputs, 32] of one panel, 64-byte aligned. Only the accessor of the own type is valid.
  const float* float32_panel(int64_t panel) const {
    return reinterpret_cast<const float*>(data_.get()) + panel * kPanelOutputs * inputs_;
  }
  const uint16_t* bfloat16_panel(int64_t panel) const {
    return reinterpret_cast<const uint16_t*>(data_.get()) + panel * kPanelOutputs * inputs_;
  }

 private:
  struct Free {
    void operator()(void* memory) const;
  };

  int64_t outputs_ = 0, inputs_ = 0;
  WeightType type_ = WeightType::kFloat32;
  std::unique_ptr<void, Free> data_;
};

// Round to nearest even; NaN stays NaN.
uint16_t ToBfloat16(float value);
float FromBfloat16(uint16_t value);

}  // namespace dragoman::model
