// y = W x for int8 and int4 weights and int8 activations. Products of a group are summed in whole
// numbers, exactly; groups are added in fp32 in their order. So a row has the same bits in any
// batch, and the whole-number part the same on any machine. Thread-safe: threads take different
// panels.
#pragma once

#include <cstdint>

#include "model/kernels/packed_matrix.h"
#include "model/kernels/quantized_rows.h"

namespace dragoman::model {

struct QuantizedMatMulRows {
  QuantizedRows x;     // groups as the weights have them
  float* y = nullptr;  // [rows, outputs]
  int64_t y_stride = 0;
  int64_t rows = 0;
  const float* bias = nullptr;  // [outputs], may be null
  bool accumulate = false;      // y += instead of y = (the residual)
};

// Panels [panel_begin, panel_end).
void QuantizedMatMul(const PackedMatrix& weights, const QuantizedMatMulRows& rows,
                     int64_t panel_begin, int64_t panel_end);
// The same in plain loops, sums in fp64; for tests.
void QuantizedMatMulReference(const PackedMatrix& weights, const QuantizedMatMulRows& rows);

// Name of the multiply-add that the kernel uses on this machine: "vnni", "maddubs" or "plain".
const char* QuantizedKernelName();

}  // namespace dragoman::model
