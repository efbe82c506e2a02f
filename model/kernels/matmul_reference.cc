#include "model/kernels/matmul.h"
#include "model/kernels/quantized_matmul.h"

namespace dragoman::model {

void MatMulReference(const PackedMatrix& weights, const MatMulRows& rows) {
  for (int64_t r = 0; r < rows.rows; ++r) {
    for (int64_t o = 0; o < weights.outputs(); ++o) {
      double sum = rows.bias == nullptr ? 0.0 : static_cast<double>(rows.bias[o]);
      for (int64_t k = 0; k < weights.inputs(); ++k) {
        sum += static_cast<double>(rows.x[r * rows.x_stride + k]) * weights.Weight(o, k);
      }
      float& y = rows.y[r * rows.y_stride + o];
      y = static_cast<float>(rows.accumulate ? static_cast<double>(y) + sum : sum);
    }
  }
}

void QuantizedMatMulReference(const PackedMatrix& weights, const QuantizedMatMulRows& rows) {
  for (int64_t r = 0; r < rows.rows; ++r) {
    const QuantizedRows x = rows.x.From(r);
    for (int64_t o = 0; o < weights.outputs(); ++o) {
      double sum = rows.bias == nullptr ? 0.0 : static_cast<double>(rows.bias[o]);
      for (int64_t k = 0; k < weights.inputs(); ++k) {
        sum += static_cast<double>(x.values[k]) * static_cast<double>(x.scales[k / x.group]) *
               weights.Weight(o, k);
      }
      float& y = rows.y[r * rows.y_stride + o];
      y = static_cast<float>(rows.accumulate ? static_cast<double>(y) + sum : sum);
    }
  }
}

}  // namespace dragoman::model
