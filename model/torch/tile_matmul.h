// Matrix products of bf16 numbers on the tile unit of x86 CPUs (AMX-BF16), for the trainer: several
// times what the packaged oneDNN reaches at its shapes. One product is PackColumns over all column
// blocks, then MultiplyRows over all rows; both may be split between threads at will, and the
// result does not depend on the split. Only where TileUnitAvailable() of matrix_product.h.
#pragma once

#include <cstdint>

namespace dragoman::model {

// A matrix of bf16 numbers (upper halves of fp32) in memory: element (i, j) is at
// data[i * row_stride + j * column_stride]; one of the strides is 1.
struct TileOperand {
  const uint16_t* data = nullptr;
  int64_t row_stride = 0;
  int64_t column_stride = 0;
};

// C = A B. A: [rows, depth], B: [depth, columns]; C dense and row-major, in bf16 (rounded to
// nearest even) or fp32. Sums are fp32.
struct TileProduct {
  TileOperand a, b;
  int64_t rows = 0, columns = 0, depth = 0;
  uint16_t* bfloat16_result = nullptr;  // exactly one of the two is set
  float* float32_result = nullptr;
};

constexpr int64_t kTileBlock = 32;  // rows and columns of C that are computed together

// Room for B as PackColumns lays it out, in numbers.
int64_t PackedColumnsSize(const TileProduct& product);

// Lays out blocks [first, last) of kTileBlock columns of B. packed: 64-byte aligned.
void PackColumns(const TileProduct& product, int64_t first, int64_t last, uint16_t* packed);

// Rows [first, last) of C. `first` is a multiple of kTileBlock, `last` too or the number of rows.
// Best called with 256 rows at a time. Thread-safe for rows that do not overlap.
void MultiplyRows(const TileProduct& product, int64_t first, int64_t last, const uint16_t* packed);

}  // namespace dragoman::model
