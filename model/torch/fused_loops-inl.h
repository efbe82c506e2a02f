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

// ---- storage

inline float Load(const float* p) { return *p; }
inline float Load(const Bfloat16Bits* p) {
  return __builtin_bit_cast(float, static_cast<uint32_t>(p->bits) << 16);
}
inline void Store(float value, float* p) { *p = value; }
// Round to nearest, ties to even. The NaN that arithmetic makes stays one.
inline void Store(float value, Bfloat16Bits* p) {
  const uint32_t bits = __builtin_bit_cast(uint32_t, value);
  p->bits = static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

template <typename T>
void Widen(const T* in, float* out, int64_t count) {
  for (int64_t i = 0; i < count; ++i) out[i] = Load(in + i);
}

template <typename T>
void Narrow(const float* in, T* out, int64_t count) {
  for (int64_t i = 0; i < count; ++i) Store(in[i], out + i);
}

// ---- RMSNorm

template <typename T>
void NormForward(const float* x, const float* weight, T* y, float* inverse, int64_t rows,
                 int64_t width, float eps) {
  for (int64_t r = 0; r < rows; ++r, x += width, y += width) {
    float sum = 0;
    for (int64_t i = 0; i < width; ++i) sum += x[i] * x[i];
    const float scale = 1.0f / __builtin_sqrtf(sum / static_cast<float>(width) + eps);
    inverse[r] = scale;
    for (int64_t i = 0; i < width; ++i) Store(x[i] * scale * weight[i], y + i);
  }
}

template <typename T>
void NormBackward(const float* x, const float* weight, const float* inverse, const T* dy, float* dx,
                  float* dweight, int64_t rows, int64_t width) {
  for (int64_t r = 0; r < rows; ++r, x += width, dy += width, dx += width) {
    const float scale = inverse[r];
    float dot = 0;
    for (int64_t i = 0; i < width; ++i) dot += Load(dy + i) * weight[i] * x[i];
    const float correction = dot * scale * scale * scale / static_cast<float>(width);
    for (int64_t i = 0; i < width; ++i) {
      const float gradient = Load(dy + i);
      dx[i] = gradient * weight[i] * scale - x[i] * correction;
      dweight[i] += gradient * x[i] * scale;
    }
  }
}

// ---- SwiGLU

template <typename T>
void SwiGluForward(const T* __restrict gate_up, T* __restrict y, int64_t rows, int64_t width) {
  for (int64_t r = 0; r < rows; ++r, gate_up += 2 * width, y += width) {
    for (int64_t i = 0; i < width; ++i) {
      const float g = Load(gate_up + i);
      const float e = FastExp(-__builtin_fabsf(g));
      const float sigmoid = (g >= 0 ? 1.0f : e) / (1.0f + e);
      Store(g * sigmoid * Load(gate_up + width + i), y + i);
    }
  }
}

template <typename T>
void SwiGluBackward(const T* __restrict gate_up, const T* __restrict dy, T* __restrict d,
                    int64_t rows, int64_t width) {
  for (int64_t r = 0; r < rows; ++r, gate_up += 2 * width, d += 2 * width, dy += width) {
    for (int64_t i = 0; i < width; ++i) {
      const float g = Load(gate_up + i), gradient = Load(dy + i);
      const float e = FastExp(-__builtin_fabsf(g));
      const float sigmoid = (g >= 0 ? 1.0f : e) / (1.0f + e);
      const float silu = g * sigmoid;
      Store(gradient * Load(gate_up + width + i) * (sigmoid + silu * (1.0f - sigmoid)), d + i);
    }
    // A loop of its own: one that stores to both halves does not vectorise.
    for (int64_t i = 0; i < width; ++i) {
      const float g = Load(gate_up + i);
      const float e = FastExp(-__builtin_fabsf(g));
      Store(Load(dy + i) * g * (g >= 0 ? 1.0f : e) / (1.0f + e), d + width + i);
    }
  }
}

// ---- cross entropy

template <typename T>
double CrossEntropyRow(const T* logits, T* gradient, float* scratch, int64_t vocab, int64_t label,
                       float smoothing) {
  const float label_logit = Load(logits + label);  // the gradient may take the place of the logits
  float top = Load(logits), sum_logits = 0;
  for (int64_t i = 0; i < vocab; ++i) {
    const float logit = Load(logits + i);
    top = logit > top ? logit : top;
    sum_logits += logit;
  }
  float sum = 0;
  for (int64_t i = 0; i < vocab; ++i) {
    scratch[i] = FastExp(Load(logits + i) - top);
    sum += scratch[i];
  }
  const float inverse = 1.0f / sum, uniform = smoothing / static_cast<float>(vocab);
  const float at_label = scratch[label] * inverse - uniform - (1.0f - smoothing);
  for (int64_t i = 0; i < vocab; ++i) Store(scratch[i] * inverse - uniform, gradient + i);
  Store(at_label, gradient + label);
  const double log_sum = static_cast<double>(top) + __builtin_log(static_cast<double>(sum));
  const double mean = static_cast<double>(sum_logits) / static_cast<double>(vocab);
  return log_sum - (1.0 - smoothing) * static_cast<double>(label_logit) - smoothing * mean;
}

// ---- dropout

// A number that looks random, from the index of an element (the "lowbias32" integer hash).
inline uint32_t HashIndex(uint32_t x) {
  x ^= x >> 16;
  x *= 0x7feb352dU;
  x ^= x >> 15;
  x *= 0x846ca68bU;
  return x ^ (x >> 16);
}

// Factor of element `index`: 0, or 1 / (1 - rate). 24 bits decide.
inline float DropoutFactor(int64_t index, uint32_t seed, uint32_t threshold, float kept) {
  const uint32_t drawn = HashIndex(static_cast<uint32_t>(index) ^ seed) >> 8;
  return drawn < threshold ? 0.0f : kept;
}

inline uint32_t DropoutThreshold(float rate) { return static_cast<uint32_t>(rate * 16777216.0f); }

template <typename T>
void DropoutAdd(const float* x, const T* branch, float* out, int64_t first, int64_t count,
                uint32_t seed, float rate) {
  const uint32_t threshold = DropoutThreshold(rate);
  const float kept = 1.0f / (1.0f - rate);
  if (x == nullptr) {
    for (int64_t i = 0; i < count; ++i) {
      out[i] = DropoutFactor(first + i, seed, threshold, kept) * Load(branch + i);
    }
    return;
  }
  for (int64_t i = 0; i < count; ++i) {
    out[i] = x[i] + DropoutFactor(first + i, seed, threshold, kept) * Load(branch + i);
  }
}

template <typename T>
void DropoutBackward(const float* dout, T* dbranch, int64_t first, int64_t count, uint32_t seed,
                     float rate) {
  const uint32_t threshold = DropoutThreshold(rate);
  const float kept = 1.0f / (1.0f - rate);
  for (int64_t i = 0; i < count; ++i) {
    Store(DropoutFactor(first + i, seed, threshold, kept) * dout[i], dbranch + i);
  }
}

// ---- rotary embedding

template <typename T>
void RotateRow(const T* in, float* out, const float* cos, const float* sin, int64_t heads,
               int64_t head_dim, int64_t copied) {
  const int64_t half = head_dim / 2;
  for (int64_t h = 0; h < heads; ++h, in += head_dim, out += head_dim) {
    for (int64_t i = 0; i < half; ++i) {
      const float a = Load(in + i), b = Load(in + half + i);
      out[i] = a * cos[i] - b * sin[i];
      out[half + i] = b * cos[i] + a * sin[i];
    }
  }
  Widen(in, out, copied);
}

template <typename T>
void UnrotateRow(const float* in, T* out, const float* cos, const float* sin, int64_t heads,
                 int64_t head_dim, int64_t copied) {
  const int64_t half = head_dim / 2;
  for (int64_t h = 0; h < heads; ++h, in += head_dim, out += head_dim) {
    for (int64_t i = 0; i < half; ++i) {
      const float a = in[i], b = in[half + i];
      Store(a * cos[i] + b * sin[i], out + i);
      Store(b * cos[i] - a * sin[i], out + half + i);
    }
  }
  Narrow(in, out, copied);
}

// ---- attention

#if defined(__AVX512F__)
constexpr int64_t kVectorFloats = 16, kBlockVectors = 4;
#elif defined(__AVX2__)
constexpr int64_t kVectorFloats = 8, kBlockVectors = 2;
#else
constexpr int64_t kVectorFloats = 4, kBlockVectors = 2;
#endif
typedef float Vector __attribute__((vector_size(kVectorFloats * sizeof(float)), aligned(4)));

// A matrix seen as rows and steps: element (r, j) is data[r * row + j * step].
struct Factors {
  const float* data;
  int64_t row, step;
};

// Rows [0, kRows) and columns [0, kVectors vectors) of out (+)= sum_{j < terms} a(r, j) b[j][.].
template <int kRows, int kVectors>
inline void MultiplyBlock(const Factors& a, int64_t terms, const float* b, int64_t b_stride,
                          float* out, int64_t out_stride, bool add) {
  Vector sums[kRows][kVectors];
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kVectors; ++v) {
      sums[r][v] = add ? *reinterpret_cast<const Vector*>(out + r * out_stride + v * kVectorFloats)
                       : Vector{};
    }
  }
  for (int64_t j = 0; j < terms; ++j) {
    Vector right[kVectors];
    for (int v = 0; v < kVectors; ++v) {
      right[v] = *reinterpret_cast<const Vector*>(b + j * b_stride + v * kVectorFloats);
    }
    for (int r = 0; r < kRows; ++r) {
      const float left = a.data[r * a.row + j * a.step];
      for (int v = 0; v < kVectors; ++v) sums[r][v] += left * right[v];
    }
  }
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kVectors; ++v) {
      *reinterpret_cast<Vector*>(out + r * out_stride + v * kVectorFloats) = sums[r][v];
    }
  }
}

template <int kRows>
inline void MultiplyRows(const Factors& a, int64_t terms, const float* b, int64_t b_stride,
                         int64_t width, float* out, int64_t out_stride, bool add) {
  int64_t i = 0;
  for (; i + kBlockVectors * kVectorFloats <= width; i += kBlockVectors * kVectorFloats) {
    MultiplyBlock<kRows, kBlockVectors>(a, terms, b + i, b_stride, out + i, out_stride, add);
  }
  for (; i + kVectorFloats <= width; i += kVectorFloats) {
    MultiplyBlock<kRows, 1>(a, terms, b + i, b_stride, out + i, out_stride, add);
  }
  for (; i < width; ++i) {
    for (int r = 0; r < kRows; ++r) {
      float sum = add ? out[r * out_stride + i] : 0.0f;
      for (int64_t j = 0; j < terms; ++j) {
        sum += a.data[r * a.row + j * a.step] * b[j * b_stride + i];
      }
      out[r * out_stride + i] = sum;
    }
  }
}

// out [rows, width] (+)= a [rows, terms] b [terms, width].
void Multiply(Factors a, int64_t rows, int64_t terms, const float* b, int64_t b_stride,
              int64_t width, float* out, int64_t out_stride, bool add) {
  int64_t r = 0;
  for (; r + 4 <= rows; r += 4, a.data += 4 * a.row, out += 4 * out_stride) {
    MultiplyRows<4>(a, terms, b, b_stride, width, out, out_stride, add);
  }
  for (; r < rows; ++r, a.data += a.row, out += out_stride) {
    MultiplyRows<1>(a, terms, b, b_stride, width, out, out_stride, add);
  }
}

// [columns] rows of head_dim to [head_dim, lanes], zero beyond the columns.
void Transpose(const float* in, int64_t stride, const AttentionHead& head, float* out) {
  for (int64_t c = 0; c < head.columns; ++c) {
    for (int64_t i = 0; i < head.head_dim; ++i) out[i * head.lanes + c] = in[c * stride + i];
  }
  for (int64_t i = 0; i < head.head_dim; ++i) {
    for (int64_t c = head.columns; c < head.lanes; ++c) out[i * head.lanes + c] = 0;
  }
}

// Scores of a row to probabilities in place; zero where the row does not look.
void SoftmaxRow(const RowSpans& spans, int64_t lanes, float scale, float* weights) {
  float top = -__builtin_inff();
  for (int s = 0; s < 2; ++s) {
    for (int64_t j = spans.begin[s]; j < spans.end[s]; ++j) {
      top = weights[j] > top ? weights[j] : top;
    }
  }
  float sum = 0;
  int64_t next = 0;
  for (int s = 0; s < 2; ++s) {
    for (int64_t j = next; j < spans.begin[s]; ++j) weights[j] = 0;
    for (int64_t j = spans.begin[s]; j < spans.end[s]; ++j) {
      weights[j] = FastExp((weights[j] - top) * scale);
      sum += weights[j];
    }
    next = spans.end[s];
  }
  for (int64_t j = next; j < lanes; ++j) weights[j] = 0;
  const float inverse = 1.0f / sum;
  for (int64_t j = 0; j < lanes; ++j) weights[j] *= inverse;
}

void AttendForward(const AttentionHead& head, float* scratch, float* out, int64_t out_stride) {
  Transpose(head.keys, head.stride, head, scratch);
  Multiply({head.q, head.stride, 1}, head.columns, head.head_dim, scratch, head.lanes, head.lanes,
           head.weights, head.lanes, false);
  for (int64_t c = 0; c < head.columns; ++c) {
    SoftmaxRow(head.spans[c], head.lanes, head.scale, head.weights + c * head.lanes);
  }
  Multiply({head.weights, head.lanes, 1}, head.columns, head.columns, head.values, head.stride,
           head.head_dim, out, out_stride, false);
}

void AttendBackward(const AttentionHead& head, const float* dout, int64_t dout_stride,
                    float* scratch, float* dq, float* dkeys, float* dvalues,
                    int64_t gradient_stride) {
  const int64_t columns = head.columns, lanes = head.lanes, head_dim = head.head_dim;
  float* values_t = scratch;
  float* dscores = scratch + head_dim * lanes;  // [columns, lanes]
  Transpose(head.values, head.stride, head, values_t);
  Multiply({dout, dout_stride, 1}, columns, head_dim, values_t, lanes, lanes, dscores, lanes,
           false);
  for (int64_t c = 0; c < columns; ++c) {
    const float* weights = head.weights + c * lanes;
    float* d = dscores + c * lanes;
    float dot = 0;
    for (int64_t j = 0; j < lanes; ++j) dot += weights[j] * d[j];
    for (int64_t j = 0; j < lanes; ++j) d[j] = weights[j] * (d[j] - dot) * head.scale;
  }
  Multiply({dscores, lanes, 1}, columns, columns, head.keys, head.stride, head_dim, dq,
           gradient_stride, true);
  Multiply({dscores, 1, lanes}, columns, columns, head.q, head.stride, head_dim, dkeys,
           gradient_stride, true);
  Multiply({head.weights, 1, lanes}, columns, columns, dout, dout_stride, head_dim, dvalues,
           gradient_stride, true);
}

template <typename T>
constexpr ActivationLoops<T> kActivationLoops = {
    &NormForward<T>,     &NormBackward<T>, &SwiGluForward<T>,  &SwiGluBackward<T>,
    &CrossEntropyRow<T>, &RotateRow<T>,    &UnrotateRow<T>,    &Widen<T>,
    &Narrow<T>,          &DropoutAdd<T>,   &DropoutBackward<T>};

}  // namespace

const FusedLoops DRAGOMAN_FUSED_TABLE = {
    kActivationLoops<float>, kActivationLoops<Bfloat16Bits>, {&AttendForward, &AttendBackward}};

}  // namespace dragoman::model
