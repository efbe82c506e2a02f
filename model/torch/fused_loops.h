// The table of inner loops of fused_ops.cc for one instruction set. Internal to the room.
#pragma once

#include <cstdint>

namespace dragoman::model {

// Keys of a row: two spans of columns, of the source side and of the target side.
struct RowSpans {
  int64_t begin[2], end[2];
};

struct FusedLoops {
  void (*norm_forward)(const float* x, const float* weight, float* y, float* inverse, int64_t rows,
                       int64_t width, float eps);
  void (*norm_backward)(const float* x, const float* weight, const float* inverse, const float* dy,
                        float* dx, float* dweight, int64_t rows, int64_t width);
  void (*swiglu_forward)(const float* gate_up, float* y, int64_t rows, int64_t width);
  void (*swiglu_backward)(const float* gate_up, const float* dy, float* d, int64_t rows,
                          int64_t width);
  double (*cross_entropy_row)(const float* logits, float* gradient, int64_t vocab, int64_t label,
                              float smoothing);
  void (*rotate_row)(const float* in, float* out, const float* cos, const float* sin, int64_t heads,
                     int64_t head_dim, float direction);
  void (*transpose)(const float* in, int64_t stride, int64_t columns, int64_t head_dim, float* out);
  void (*attend_row)(const float* q, const float* keys_t, const float* values, int64_t value_stride,
                     const RowSpans& spans, int64_t columns, int64_t head_dim, float scale,
                     float* weights, float* out);
  void (*attend_row_backward)(const float* q, const float* dout, const float* keys,
                              const float* values_t, int64_t key_stride, const RowSpans& spans,
                              int64_t columns, int64_t head_dim, float scale, const float* weights,
                              float* scratch, float* dq, float* dkeys, float* dvalues,
                              int64_t gradient_stride);
};

extern const FusedLoops kFusedLoopsBaseline;  // any CPU
extern const FusedLoops kFusedLoopsAvx2;      // x86-64-v3
extern const FusedLoops kFusedLoopsAvx512;    // x86-64-v4

// The best table for this machine.
const FusedLoops& SelectFusedLoops();

}  // namespace dragoman::model
