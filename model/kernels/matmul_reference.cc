#include "model/kernels/matmul.h"

namespace dragoman::model {
namespace {

double WeightAt(const PackedMatrix& weights, int64_t output, int64_t input) {
  const int64_t panel = output / PackedMatrix::kPanelOutputs;
  const int64_t at = input * PackedMatrix::kPanelOutputs + output % PackedMatrix::kPanelOutputs;
  return weights.type() == WeightType::kFloat32
             ? static_cast<double>(weights.float32_panel(panel)[at])
             : static_cast<double>(FromBfloat16(weights.bfloat16_panel(panel)[at]));
}

}  // namespace

void MatMulReference(const PackedMatrix& weights, const MatMulRows& rows) {
  for (int64_t r = 0; r < rows.rows; ++r) {
    for (int64_t o = 0; o < weights.outputs(); ++o) {
      double sum = rows.bias == nullptr ? 0.0 : static_cast<double>(rows.bias[o]);
      for (int64_t k = 0; k < weights.inputs(); ++k) {
        sum += static_cast<double>(rows.x[r * rows.x_stride + k]) * WeightAt(weights, o, k);
      }
      float& y = rows.y[r * rows.y_stride + o];
      y = static_cast<float>(rows.accumulate ? static_cast<double>(y) + sum : sum);
    }
  }
}

}  // namespace dragoman::model
