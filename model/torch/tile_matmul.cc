#include "model/torch/tile_matmul.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <new>

#if defined(__AMX_BF16__)
#include <immintrin.h>

namespace dragoman::model {
namespace {

// A tile holds 16 rows of 64 bytes: 16 x 32 numbers of A, or 16 pairs of rows of 16 columns of B.
constexpr int64_t kTileRows = 16, kTileDepth = 32, kTileSize = kTileRows * kTileDepth;
constexpr int64_t kBlockSize = 2 * kTileSize;  // two tiles: 32 rows of A or 32 columns of B
constexpr int64_t kDepthChunk = 1024;          // of A and B kept in the second-level cache at once

int64_t Blocks(int64_t size, int64_t block) { return (size + block - 1) / block; }

struct AlignedDelete {
  void operator()(void* p) const { ::operator delete(p, std::align_val_t(64)); }
};
template <typename T>
class Buffer {
 public:
  T* Resize(int64_t size) {
    if (size > size_) {
      data_.reset(static_cast<T*>(::operator new(size * sizeof(T), std::align_val_t(64))));
      size_ = size;
    }
    return data_.get();
  }

 private:
  std::unique_ptr<T, AlignedDelete> data_;
  int64_t size_ = 0;
};

struct alignas(64) TileConfig {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

// A mask of the first `count` of 16 lanes.
__mmask16 First(int64_t count) {
  return count >= 16 ? 0xffff : count <= 0 ? 0 : static_cast<__mmask16>((1 << count) - 1);
}

// Transposes 16 rows of 16 pairs of numbers.
void Transpose(__m512i r[16]) {
  __m512i t[16];
  for (int i = 0; i < 8; ++i) {
    t[2 * i] = _mm512_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
    t[2 * i + 1] = _mm512_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
  }
  for (int i = 0; i < 4; ++i) {
    r[4 * i] = _mm512_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
    r[4 * i + 1] = _mm512_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
    r[4 * i + 2] = _mm512_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
    r[4 * i + 3] = _mm512_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
  }
  for (int i = 0; i < 4; ++i) {
    t[i] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0x88);
    t[i + 4] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0xdd);
    t[i + 8] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0x88);
    t[i + 12] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0xdd);
  }
  for (int i = 0; i < 8; ++i) {
    const int j = i & 3, high = i >> 2;
    r[i] = _mm512_shuffle_i32x4(t[j + 4 * high], t[j + 4 * high + 8], 0x88);
    r[i + 8] = _mm512_shuffle_i32x4(t[j + 4 * high], t[j + 4 * high + 8], 0xdd);
  }
}

// 16 vectors of up to 32 numbers that lie side by side in memory; the vectors lie `stride` apart.
// What is beyond `lines` and `length` is zero.
void LoadLines(const uint16_t* data, int64_t stride, int64_t lines, int64_t length,
               __m512i out[16]) {
  const __mmask32 mask = length >= 32 ? 0xffffffffu : (1u << length) - 1;
  for (int64_t i = 0; i < 16; ++i) {
    out[i] = i < lines ? _mm512_maskz_loadu_epi16(mask, data + i * stride) : _mm512_setzero_si512();
  }
}

// 16 vectors of pairs: vector i holds, for 16 neighbours j, elements (2i, j) and (2i + 1, j) of a
// matrix whose rows lie `stride` apart. What is beyond `rows` and `length` is zero.
void LoadPairs(const uint16_t* data, int64_t stride, int64_t rows, int64_t length,
               __m512i out[16]) {
  const __mmask16 mask = First(length);
  for (int64_t i = 0; i < 16; ++i) {
    const auto row = [&](int64_t r) {
      return r < rows ? _mm256_maskz_loadu_epi16(mask, data + r * stride) : _mm256_setzero_si256();
    };
    const __m512i low = _mm512_cvtepu16_epi32(row(2 * i)),
                  high = _mm512_cvtepu16_epi32(row(2 * i + 1));
    out[i] = _mm512_or_si512(low, _mm512_slli_epi32(high, 16));
  }
}

// A tile of A (16 rows of 16 pairs along the depth) or of B (16 pairs along the depth of 16
// columns each). lines: the rows of A or the columns of B.
enum class Side { kA, kB };

template <Side side>
void PackTile(const TileOperand& m, int64_t line, int64_t lines, int64_t depth, int64_t depths,
              uint16_t* out) {
  const int64_t line_stride = side == Side::kA ? m.row_stride : m.column_stride;
  const int64_t depth_stride = side == Side::kA ? m.column_stride : m.row_stride;
  const uint16_t* data = m.data + line * line_stride + depth * depth_stride;
  const bool depth_inside = depth_stride == 1;  // a vector of memory runs along the depth
  __m512i v[16];
  if (depth_inside) {
    LoadLines(data, line_stride, lines - line, depths - depth, v);
  } else {
    LoadPairs(data, depth_stride, depths - depth, lines - line, v);
  }
  if (depth_inside != (side == Side::kA)) Transpose(v);
  for (int i = 0; i < 16; ++i) _mm512_store_si512(out + i * kTileDepth, v[i]);
}

template <Side side>
void PackBlock(const TileOperand& m, int64_t line, int64_t lines, int64_t step, int64_t depths,
               uint16_t* out) {
  for (int64_t half = 0; half < 2; ++half) {
    PackTile<side>(m, line + half * kTileRows, lines, step * kTileDepth, depths,
                   out + half * kTileSize);
  }
}

void StoreBlock(const float* sums, const TileProduct& p, int64_t row, int64_t column) {
  const int64_t rows = std::min<int64_t>(kTileBlock, p.rows - row);
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t half = 0; half < 2; ++half) {
      const int64_t first = column + 16 * half;
      const __mmask16 mask = First(p.columns - first);
      const __m512 v = _mm512_load_ps(sums + i * kTileBlock + 16 * half);
      const int64_t at = (row + i) * p.columns + first;
      if (p.float32_result != nullptr) {
        _mm512_mask_storeu_ps(p.float32_result + at, mask, v);
      } else {
        _mm256_mask_storeu_epi16(p.bfloat16_result + at, mask,
                                 reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(v)));
      }
    }
  }
}

// sums [32, 32] = (or +=, when `add`) 32 rows of A times 32 columns of B over `steps` tiles.
void MultiplyBlock(const uint16_t* a, const uint16_t* b, int64_t steps, bool add, float* sums) {
  constexpr int kPitch = kTileBlock * sizeof(float);
  if (add) {
    _tile_loadd(0, sums, kPitch);
    _tile_loadd(1, sums + 16, kPitch);
    _tile_loadd(2, sums + 16 * kTileBlock, kPitch);
    _tile_loadd(3, sums + 16 * kTileBlock + 16, kPitch);
  } else {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  }
  for (int64_t i = 0; i < steps; ++i, a += kBlockSize, b += kBlockSize) {
    _tile_loadd(4, a, 64);
    _tile_loadd(6, b, 64);
    _tile_loadd(7, b + kTileSize, 64);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_loadd(5, a + kTileSize, 64);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  _tile_stored(0, sums, kPitch);
  _tile_stored(1, sums + 16, kPitch);
  _tile_stored(2, sums + 16 * kTileBlock, kPitch);
  _tile_stored(3, sums + 16 * kTileBlock + 16, kPitch);
}

}  // namespace

int64_t PackedColumnsSize(const TileProduct& p) {
  return Blocks(p.columns, kTileBlock) * Blocks(p.depth, kTileDepth) * kBlockSize;
}

void PackColumns(const TileProduct& p, int64_t first, int64_t last, uint16_t* packed) {
  const int64_t steps = Blocks(p.depth, kTileDepth);
  for (int64_t block = first; block < last; ++block) {
    for (int64_t step = 0; step < steps; ++step) {
      PackBlock<Side::kB>(p.b, block * kTileBlock, p.columns, step, p.depth,
                          packed + (block * steps + step) * kBlockSize);
    }
  }
}

void MultiplyRows(const TileProduct& p, int64_t first, int64_t last, const uint16_t* packed) {
  static thread_local Buffer<uint16_t> a_buffer;
  static thread_local Buffer<float> sum_buffer;
  const int64_t steps = Blocks(p.depth, kTileDepth);
  const int64_t chunk = Blocks(steps, Blocks(p.depth, kDepthChunk));  // parts of equal length
  const int64_t column_blocks = Blocks(p.columns, kTileBlock);
  const int64_t row_blocks = Blocks(last - first, kTileBlock);
  const bool keep_sums = steps > chunk;
  constexpr int64_t kSums = kTileBlock * kTileBlock;
  uint16_t* a = a_buffer.Resize(row_blocks * std::min(steps, chunk) * kBlockSize);
  float* sums = sum_buffer.Resize(keep_sums ? row_blocks * column_blocks * kSums : kSums);
  const TileConfig config;
  _tile_loadconfig(&config);
  for (int64_t begin = 0; begin < steps; begin += chunk) {
    const int64_t count = std::min(chunk, steps - begin);
    for (int64_t r = 0; r < row_blocks; ++r) {
      for (int64_t step = 0; step < count; ++step) {
        PackBlock<Side::kA>(p.a, first + r * kTileBlock, p.rows, begin + step, p.depth,
                            a + (r * count + step) * kBlockSize);
      }
    }
    for (int64_t c = 0; c < column_blocks; ++c) {
      const uint16_t* b = packed + (c * steps + begin) * kBlockSize;
      for (int64_t r = 0; r < row_blocks; ++r) {
        float* block = keep_sums ? sums + (c * row_blocks + r) * kSums : sums;
        MultiplyBlock(a + r * count * kBlockSize, b, count, begin > 0, block);
        if (begin + count == steps) {
          StoreBlock(block, p, first + r * kTileBlock, c * kTileBlock);
        }
      }
    }
  }
  _tile_release();
}

}  // namespace dragoman::model

#else

namespace dragoman::model {

int64_t PackedColumnsSize(const TileProduct&) { return 0; }
void PackColumns(const TileProduct&, int64_t, int64_t, uint16_t*) {}
void MultiplyRows(const TileProduct&, int64_t, int64_t, const uint16_t*) {}

}  // namespace dragoman::model

#endif
