#include "model/torch/matrix_product.h"

#if defined(__x86_64__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <algorithm>

#include "model/torch/tile_matmul.h"
#include "torch/torch.h"

// Without it at::parallel_for runs serially and says nothing.
#ifndef _OPENMP
#error "compile this file with OpenMP"
#endif

namespace dragoman::model {
namespace {

constexpr int64_t kMaxRows = 256;  // rows of one call: their part of A stays in the cache
constexpr int64_t kThreadWork = int64_t{1} << 20;  // multiplications that are worth a thread

bool Dense(const torch::Tensor& m) { return m.stride(0) == 1 || m.stride(1) == 1; }

TileOperand Operand(const torch::Tensor& m) {
  return {static_cast<const uint16_t*>(m.data_ptr()), m.stride(0), m.stride(1)};
}

}  // namespace

bool TileUnitAvailable() {
#if defined(__x86_64__)
  static const bool available = [] {
    constexpr int kRequestPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM
    return __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("amx-bf16") &&
           syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
  }();
  return available;
#else
  return false;
#endif
}

torch::Tensor MatrixProduct(const torch::Tensor& a, const torch::Tensor& b, torch::Dtype result) {
  const bool tiles = a.scalar_type() == torch::kBFloat16 && b.scalar_type() == torch::kBFloat16 &&
                     (result == torch::kBFloat16 || result == torch::kFloat32) && a.dim() == 2 &&
                     b.dim() == 2 && a.device().is_cpu() && TileUnitAvailable();
  if (!tiles || a.size(1) != b.size(0)) return torch::mm(a, b).to(result);
  const torch::Tensor left = Dense(a) ? a : a.contiguous(), right = Dense(b) ? b : b.contiguous();
  torch::Tensor product = torch::empty({a.size(0), b.size(1)}, a.options().dtype(result));
  if (product.numel() == 0 || a.size(1) == 0) return product.zero_();
  TileProduct p{.a = Operand(left),
                .b = Operand(right),
                .rows = a.size(0),
                .columns = b.size(1),
                .depth = a.size(1)};
  if (result == torch::kFloat32) {
    p.float32_result = product.data_ptr<float>();
  } else {
    p.bfloat16_result = static_cast<uint16_t*>(product.data_ptr());
  }
  // torch's CPU allocator aligns to 64 bytes.
  const torch::Tensor room = torch::empty({PackedColumnsSize(p)}, a.options());
  auto* packed = static_cast<uint16_t*>(room.data_ptr());
  const int64_t threads =
      std::clamp<int64_t>(p.rows * p.columns * p.depth / kThreadWork, 1, at::get_num_threads());
  const int64_t column_blocks = (p.columns + kTileBlock - 1) / kTileBlock;
  at::parallel_for(0, column_blocks, (column_blocks + threads - 1) / threads,
                   [&](int64_t begin, int64_t end) { PackColumns(p, begin, end, packed); });
  const int64_t share = (p.rows / threads + kTileBlock - 1) / kTileBlock * kTileBlock;
  const int64_t rows = std::clamp(share, kTileBlock, kMaxRows), calls = (p.rows + rows - 1) / rows;
  at::parallel_for(0, calls, (calls + threads - 1) / threads, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      MultiplyRows(p, i * rows, std::min(p.rows, (i + 1) * rows), packed);
    }
  });
  return product;
}

}  // namespace dragoman::model
