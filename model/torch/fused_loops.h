// The table of inner loops of fused_ops.cc for one instruction set. Internal to the room.
#pragma once

#include <cstdint>

namespace dragoman::model {

// Storage of activations in bf16: the upper half of an fp32 number. Arithmetic runs in fp32.
struct Bfloat16Bits {
  uint16_t bits;
};

// Columns [0, ends[0]) and [source_columns, ends[1]) are what a row attends to.
struct RowSpans {
  int64_t begin[2], end[2];
};

// Loops over activations stored as T. Matrices are row-major and dense unless a stride is named.
template <typename T>
struct ActivationLoops {
  void (*norm_forward)(const float* x, const float* weight, T* y, float* inverse, int64_t rows,
                       int64_t width, float eps);
  void (*norm_backward)(const float* x, const float* weight, const float* inverse, const T* dy,
                        float* dx, float* dweight, int64_t rows, int64_t width);
  void (*swiglu_forward)(const T* gate_up, T* y, int64_t rows, int64_t width);
  void (*swiglu_backward)(const T* gate_up, const T* dy, T* d, int64_t rows, int64_t width);
  // Loss of one row; fills `gradient` (softmax minus the smoothed target). scratch: [vocab].
  double (*cross_entropy_row)(const T* logits, T* gradient, float* scratch, int64_t vocab,
                              int64_t label, float smoothing);
  // Rotates `heads` heads of a row into fp32 and copies `copied` numbers behind them.
  void (*rotate_row)(const T* in, float* out, const float* cos, const float* sin, int64_t heads,
                     int64_t head_dim, int64_t copied);
  // The transposed rotation, back from fp32.
  void (*unrotate_row)(const float* in, T* out, const float* cos, const float* sin, int64_t heads,
                       int64_t head_dim, int64_t copied);
  void (*widen)(const T* in, float* out, int64_t count);
  void (*narrow)(const float* in, T* out, int64_t count);
  // out = x + mask(branch) / (1 - rate) over `count` numbers that begin at `first` of the tensor;
  // x may be null. `out` and the gradient use the same mask.
  void (*dropout_add)(const float* x, const T* branch, float* out, int64_t first, int64_t count,
                      uint32_t seed, float rate);
  void (*dropout_backward)(const float* dout, T* dbranch, int64_t first, int64_t count,
                           uint32_t seed, float rate);
};

// One head of one sample; every pointer is fp32. `lanes` is the number of columns rounded up to
// kAttentionLanes, so that no row of scores ends inside a vector.
struct AttentionHead {
  const float* q;       // [columns] rows of head_dim, `stride` apart
  const float* keys;    // likewise
  const float* values;  // likewise
  int64_t stride, columns, lanes, head_dim;
  const RowSpans* spans;  // [columns]
  float scale;
  float* weights;  // [columns, lanes]: probabilities; zero where a row does not look
};
constexpr int64_t kAttentionLanes = 16;

struct AttentionLoops {
  // scratch: [head_dim * lanes]; out: rows of head_dim, out_stride apart.
  void (*forward)(const AttentionHead& head, float* scratch, float* out, int64_t out_stride);
  // dout: rows of head_dim, dout_stride apart; dq, dkeys, dvalues: rows `gradient_stride` apart, to
  // which the gradients are added. scratch: [(head_dim + columns) * lanes].
  void (*backward)(const AttentionHead& head, const float* dout, int64_t dout_stride,
                   float* scratch, float* dq, float* dkeys, float* dvalues,
                   int64_t gradient_stride);
};

struct FusedLoops {
  ActivationLoops<float> fp32;
  ActivationLoops<Bfloat16Bits> bf16;
  AttentionLoops attention;

  template <typename T>
  const ActivationLoops<T>& For() const;
};
template <>
inline const ActivationLoops<float>& FusedLoops::For() const {
  return fp32;
}
template <>
inline const ActivationLoops<Bfloat16Bits>& FusedLoops::For() const {
  return bf16;
}

extern const FusedLoops kFusedLoopsBaseline;  // any CPU
extern const FusedLoops kFusedLoopsAvx2;      // x86-64-v3
extern const FusedLoops kFusedLoopsAvx512;    // x86-64-v4

// The best table for this machine.
const FusedLoops& SelectFusedLoops();

}  // namespace dragoman::model
