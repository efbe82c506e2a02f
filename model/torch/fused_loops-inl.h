// Loops of fused_ops.cc, compiled once per instruction set (fused_loops_*.cc): each including file
// names the table that it fills in DRAGOMAN_FUSED_TABLE. Plain arithmetic and no library templates,
// so that nothing compiled for a newer CPU can be linked into the rest of the program.
#include <cstdint>

#include "model/torch/fused_loops.h"

namespace dragoman::model {
namespace {

// exp(x) in fp32 for x <= 0, relative error below 2e-7: 2^n times a polynomial (Cephes expf). Plain
// arithmetic, so that loops over it vectorise.
inline float FastExp(float x) {
  x = x < -87.0f ? -87.0f : x;
  const float n = __builtin_floorf(x * 1.44269504088896341f + 0.5f);
  const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  return p * __builtin_bit_cast(float, (static_cast<int32_t>(n) + 127) << 23);
}

// ---- RMSNorm

void NormForward(const float* x, const float* weight, float* y, float* inverse, int64_t rows,
                 int64_t width, float eps) {
  for (int64_t r = 0; r < rows; ++r, x += width, y += width) {
    float sum = 0;
    for (int64_t i = 0; i < width; ++i) sum += x[i] * x[i];
    const float scale = 1.0f / __builtin_sqrtf(sum / static_cast<float>(width) + eps);
    inverse[r] = scale;
    for (int64_t i = 0; i < width; ++i) y[i] = x[i] * scale * weight[i];
  }
}

void NormBackward(const float* x, const float* weight, const float* inverse, const float* dy,
                  float* dx, float* dweight, int64_t rows, int64_t width) {
  for (int64_t r = 0; r < rows; ++r, x += width, dy += width, dx += width) {
    const float scale = inverse[r];
    float dot = 0;
    for (int64_t i = 0; i < width; ++i) dot += dy[i] * weight[i] * x[i];
    const float correction = dot * scale * scale * scale / static_cast<float>(width);
    for (int64_t i = 0; i < width; ++i) {
      dx[i] = dy[i] * weight[i] * scale - x[i] * correction;
      dweight[i] += dy[i] * x[i] * scale;
    }
  }
}

// ---- SwiGLU

void SwiGluForward(const float* gate_up, float* y, int64_t rows, int64_t width) {
  for (int64_t r = 0; r < rows; ++r, gate_up += 2 * width, y += width) {
    for (int64_t i = 0; i < width; ++i) {
      const float g = gate_up[i];
      const float e = FastExp(-__builtin_fabsf(g));
      const float sigmoid = (g >= 0 ? 1.0f : e) / (1.0f + e);
      y[i] = g * sigmoid * gate_up[width + i];
    }
  }
}

void SwiGluBackward(const float* gate_up, const float* dy, float* d, int64_t rows, int64_t width) {
  for (int64_t r = 0; r < rows; ++r, gate_up += 2 * width, d += 2 * width, dy += width) {
    for (int64_t i = 0; i < width; ++i) {
      const float g = gate_up[i];
      const float e = FastExp(-__builtin_fabsf(g));
      const float sigmoid = (g >= 0 ? 1.0f : e) / (1.0f + e);
      const float silu = g * sigmoid;
      d[i] = dy[i] * gate_up[width + i] * (sigmoid + silu * (1.0f - sigmoid));
      d[width + i] = dy[i] * silu;
    }
  }
}

// ---- cross entropy

// Loss of one row; overwrites `gradient` (softmax minus the smoothed target).
double CrossEntropyRow(const float* logits, float* gradient, int64_t vocab, int64_t label,
                       float smoothing) {
  float top = logits[0], sum_logits = 0;
  for (int64_t i = 0; i < vocab; ++i) {
    top = logits[i] > top ? logits[i] : top;
    sum_logits += logits[i];
  }
  float sum = 0;
  for (int64_t i = 0; i < vocab; ++i) {
    gradient[i] = FastExp(logits[i] - top);
    sum += gradient[i];
  }
  const float inverse = 1.0f / sum, uniform = smoothing / static_cast<float>(vocab);
  for (int64_t i = 0; i < vocab; ++i) gradient[i] = gradient[i] * inverse - uniform;
  gradient[label] -= 1.0f - smoothing;
  const double log_sum = static_cast<double>(top) + __builtin_log(static_cast<double>(sum));
  const double mean = static_cast<double>(sum_logits) / static_cast<double>(vocab);
  return log_sum - (1.0 - smoothing) * static_cast<double>(logits[label]) - smoothing * mean;
}

// ---- rotary attention

void RotateRow(const float* in, float* out, const float* cos, const float* sin, int64_t heads,
               int64_t head_dim, float direction) {
  const int64_t half = head_dim / 2;
  for (int64_t h = 0; h < heads; ++h, in += head_dim, out += head_dim) {
    for (int64_t i = 0; i < half; ++i) {
      const float a = in[i], b = in[half + i], s = sin[i] * direction;
      out[i] = a * cos[i] - b * s;
      out[half + i] = b * cos[i] + a * s;
    }
  }
}

// Keys and values of one sample and KV head, transposed to [head_dim][columns].
void Transpose(const float* in, int64_t stride, int64_t columns, int64_t head_dim, float* out) {
  for (int64_t c = 0; c < columns; ++c) {
    for (int64_t i = 0; i < head_dim; ++i) out[i * columns + c] = in[c * stride + i];
  }
}

// out[j] = sum_i x[i] * transposed[i][j] for j in [begin, end).
inline void ProjectSpan(const float* x, const float* transposed, int64_t columns, int64_t head_dim,
                        int64_t begin, int64_t end, float* out) {
  for (int64_t j = begin; j < end; ++j) out[j] = 0;
  for (int64_t i = 0; i < head_dim; ++i) {
    const float value = x[i];
    const float* row = transposed + i * columns;
    for (int64_t j = begin; j < end; ++j) out[j] += value * row[j];
  }
}

void AttendRow(const float* q, const float* keys_t, const float* values, int64_t value_stride,
               const RowSpans& spans, int64_t columns, int64_t head_dim, float scale,
               float* weights, float* out) {
  float top = -__builtin_inff();
  for (int s = 0; s < 2; ++s) {
    ProjectSpan(q, keys_t, columns, head_dim, spans.begin[s], spans.end[s], weights);
    for (int64_t j = spans.begin[s]; j < spans.end[s]; ++j)
      top = weights[j] > top ? weights[j] : top;
  }
  float sum = 0;
  for (int s = 0; s < 2; ++s) {
    for (int64_t j = spans.begin[s]; j < spans.end[s]; ++j) {
      weights[j] = FastExp((weights[j] - top) * scale);
      sum += weights[j];
    }
  }
  const float inverse = 1.0f / sum;
  for (int64_t i = 0; i < head_dim; ++i) out[i] = 0;
  for (int s = 0; s < 2; ++s) {
    for (int64_t j = spans.begin[s]; j < spans.end[s]; ++j) {
      weights[j] *= inverse;
      const float weight = weights[j];
      const float* value = values + j * value_stride;
      for (int64_t i = 0; i < head_dim; ++i) out[i] += weight * value[i];
    }
  }
}

void AttendRowBackward(const float* q, const float* dout, const float* keys, const float* values_t,
                       int64_t key_stride, const RowSpans& spans, int64_t columns, int64_t head_dim,
                       float scale, const float* weights, float* scratch, float* dq, float* dkeys,
                       float* dvalues, int64_t gradient_stride) {
  float dot = 0;
  for (int s = 0; s < 2; ++s) {
    ProjectSpan(dout, values_t, columns, head_dim, spans.begin[s], spans.end[s], scratch);
    for (int64_t j = spans.begin[s]; j < spans.end[s]; ++j) dot += weights[j] * scratch[j];
  }
  for (int s = 0; s < 2; ++s) {
    for (int64_t j = spans.begin[s]; j < spans.end[s]; ++j) {
      const float weight = weights[j];
      const float dscore = weight * (scratch[j] - dot) * scale;
      const float* key = keys + j * key_stride;
      float* dkey = dkeys + j * gradient_stride;
      float* dvalue = dvalues + j * gradient_stride;
      for (int64_t i = 0; i < head_dim; ++i) {
        dq[i] += dscore * key[i];
        dkey[i] += dscore * q[i];
        dvalue[i] += weight * dout[i];
      }
    }
  }
}

}  // namespace

const FusedLoops DRAGOMAN_FUSED_TABLE = {&NormForward,    &NormBackward,    &SwiGluForward,
                                         &SwiGluBackward, &CrossEntropyRow, &RotateRow,
                                         &Transpose,      &AttendRow,       &AttendRowBackward};

}  // namespace dragoman::model
