// y = W x for some panels of a packed fp32 or bf16 matrix and any number of rows. Sums run in fp32
// in an order that depends on the matrix alone: input 0, 2, 4, ... and 1, 3, 5, ... apart, then
// both together. So a row has the same bits in any batch. Thread-safe: threads take different
// panels.
#pragma once

#include <cstdint>

#include "model/kernels/packed_matrix.h"

namespace dragoman::model {

struct MatMulRows {
  const float* x = nullptr;  // [rows, inputs]
  int64_t x_stride = 0;      // floats between rows
  float* y = nullptr;        // [rows, outputs]
  int64_t y_stride = 0;
  int64_t rows = 0;
  const float* bias = nullptr;  // [outputs], may be null
  bool accumulate = false;      // y += instead of y = (the residual)
};

// Panels [panel_begin, panel_end).
void MatMul(const PackedMatrix& weights, const MatMulRows& rows, int64_t panel_begin,
            int64_t panel_end);
// The same in plain loops, sums in fp64; for tests.
void MatMulReference(const PackedMatrix& weights, const MatMulRows& rows);

// Name of the instruction set that the kernels use on this machine, such as "AVX3_ZEN4".
const char* KernelTarget();

}  // namespace dragoman::model
