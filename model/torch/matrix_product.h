// Matrix products of training.
#pragma once

#include "torch/types.h"

namespace dragoman::model {

// a b, a: [rows, depth], b: [depth, columns], of one type; views are read as they lie. Products of
// bf16 on CPUs with a tile unit go by tile_matmul.h, all others by torch::mm. Sums are fp32; the
// result is rounded to `result`, by torch to the type of the operands first.
torch::Tensor MatrixProduct(const torch::Tensor& a, const torch::Tensor& b, torch::Dtype result);

// True where the CPU has the unit (AMX-BF16) and the system lets this process use it. Asks the
// system once.
bool TileUnitAvailable();

}  // namespace dragoman::model
