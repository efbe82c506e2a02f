// Weights of one linear layer in the order in which the kernels stream them: panels of 32 outputs.
// The last panel is filled up with zeros. Immutable after Pack(), therefore thread-safe.
//
// fp32, bf16: in a panel the 32 weights of input 0, then those of input 1 and so on.
// int8, int4: in a panel one block per group of inputs; inputs are filled up with zeros to whole
// groups. A block is the group's weights in steps of 4 inputs, [step][32 outputs][4 inputs], then
// 32 bf16 scales. int8 weights are stored plus 128; int4 weights plus 8, two steps in a byte: the
// even one in the lower half.
#pragma once

#include <cstdint>
#include <memory>

#include "model/api/weight_type.h"

namespace dragoman::model {

constexpr bool IsQuantized(WeightType type) {
  return type == WeightType::kInt8 || type == WeightType::kInt4;
}
// Inputs that share a scale. The activations that meet such weights have the same groups.
constexpr int64_t QuantGroup(WeightType type) { return type == WeightType::kInt8 ? 64 : 32; }

class PackedMatrix {
 public:
  static constexpr int64_t kPanelOutputs = 32;

  PackedMatrix() = default;
  // `weights`: [outputs, inputs], row-major, as y = W x. bf16 rounds to nearest even; int8 uses the
  // largest weight of a group as its scale, int4 the scale with the least squared error.
  static PackedMatrix Pack(const float* weights, int64_t outputs, int64_t inputs, WeightType type);
  // The same into memory of the caller, which outlives the result: View(data, ...).bytes() bytes,
  // aligned to 64.
  static PackedMatrix PackInto(const float* weights, int64_t outputs, int64_t inputs,
                               WeightType type, void* data);
  // A matrix whose packed bytes lie elsewhere, such as in a file; `data` outlives it.
  static PackedMatrix View(const void* data, int64_t outputs, int64_t inputs, WeightType type);

  int64_t outputs() const { return outputs_; }
  int64_t inputs() const { return inputs_; }
  int64_t num_panels() const { return (outputs_ + kPanelOutputs - 1) / kPanelOutputs; }
  WeightType type() const { return type_; }
  int64_t bytes() const { return num_panels() * panel_bytes(); }
  int64_t panel_bytes() const;
  const void* data() const { return data_; }

  // Groups of inputs and bytes of a block; quantised types only.
  int64_t num_groups() const { return (inputs_ + QuantGroup(type_) - 1) / QuantGroup(type_); }
  int64_t block_bytes() const;

  // One panel, 64-byte aligned.
  const uint8_t* panel(int64_t index) const {
    return static_cast<const uint8_t*>(data_) + index * panel_bytes();
  }
  const float* float32_panel(int64_t index) const {
    return reinterpret_cast<const float*>(panel(index));
  }
  const uint16_t* bfloat16_panel(int64_t index) const {
    return reinterpret_cast<const uint16_t*>(panel(index));
  }

  // The weight that the kernels multiply with; slow, for tests and reports.
  double Weight(int64_t output, int64_t input) const;

 private:
  struct Free {
    void operator()(void* memory) const;
  };

  int64_t outputs_ = 0, inputs_ = 0;
  WeightType type_ = WeightType::kFloat32;
  const void* data_ = nullptr;
  std::unique_ptr<void, Free> owned_;  // null: a view
};

// Round to nearest even; NaN stays NaN.
uint16_t ToBfloat16(float value);
float FromBfloat16(uint16_t value);

}  // namespace dragoman::model
