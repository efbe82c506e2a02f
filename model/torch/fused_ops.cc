#include "model/torch/fused_ops.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <vector>

#include "ATen/Parallel.h"
#include "model/torch/fused_loops.h"
#include "torch/torch.h"

namespace dragoman::model {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::tensor_list;

constexpr int64_t kRowGrain = 64;

const FusedLoops& Loops() {
  static const FusedLoops& loops = SelectFusedLoops();
  return loops;
}

// ---- RMSNorm

class RmsNormFunction : public torch::autograd::Function<RmsNormFunction> {
 public:
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& x,
                               const torch::Tensor& weight, double eps) {
    const torch::Tensor in = x.contiguous();
    const int64_t rows = in.size(0), width = in.size(1);
    torch::Tensor y = torch::empty_like(in), inverse = torch::empty({rows});
    at::parallel_for(0, rows, kRowGrain, [&](int64_t begin, int64_t end) {
      Loops().norm_forward(in.data_ptr<float>() + begin * width, weight.data_ptr<float>(),
                           y.data_ptr<float>() + begin * width, inverse.data_ptr<float>() + begin,
                           end - begin, width, static_cast<float>(eps));
    });
    context->save_for_backward({in, weight, inverse});
    return y;
  }
  static tensor_list backward(AutogradContext* context, tensor_list gradients) {
    const auto saved = context->get_saved_variables();
    const torch::Tensor &x = saved[0], &weight = saved[1], &inverse = saved[2];
    const torch::Tensor dy = gradients[0].contiguous();
    const int64_t rows = x.size(0), width = x.size(1);
    torch::Tensor dx = torch::empty_like(x);
    // A fixed number of partial sums keeps the result independent of scheduling.
    const int64_t parts = std::max<int64_t>(1, std::min<int64_t>(16, rows / kRowGrain));
    torch::Tensor partial = torch::zeros({parts, width});
    at::parallel_for(0, parts, 1, [&](int64_t begin, int64_t end) {
      for (int64_t part = begin; part < end; ++part) {
        const int64_t first = rows * part / parts, last = rows * (part + 1) / parts;
        Loops().norm_backward(x.data_ptr<float>() + first * width, weight.data_ptr<float>(),
                              inverse.data_ptr<float>() + first,
                              dy.data_ptr<float>() + first * width,
                              dx.data_ptr<float>() + first * width,
                              partial.data_ptr<float>() + part * width, last - first, width);
      }
    });
    return {dx, partial.sum(0), torch::Tensor()};
  }
};

// ---- SwiGLU

class SwiGluFunction : public torch::autograd::Function<SwiGluFunction> {
 public:
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& gate_up) {
    const torch::Tensor in = gate_up.contiguous();
    const int64_t rows = in.size(0), width = in.size(1) / 2;
    torch::Tensor y = torch::empty({rows, width});
    at::parallel_for(0, rows, kRowGrain, [&](int64_t begin, int64_t end) {
      Loops().swiglu_forward(in.data_ptr<float>() + begin * 2 * width,
                             y.data_ptr<float>() + begin * width, end - begin, width);
    });
    context->save_for_backward({in});
    return y;
  }
  static tensor_list backward(AutogradContext* context, tensor_list gradients) {
    const torch::Tensor in = context->get_saved_variables()[0];
    const torch::Tensor dy = gradients[0].contiguous();
    const int64_t rows = in.size(0), width = in.size(1) / 2;
    torch::Tensor d = torch::empty_like(in);
    at::parallel_for(0, rows, kRowGrain, [&](int64_t begin, int64_t end) {
      Loops().swiglu_backward(in.data_ptr<float>() + begin * 2 * width,
                              dy.data_ptr<float>() + begin * width,
                              d.data_ptr<float>() + begin * 2 * width, end - begin, width);
    });
    return {d};
  }
};

// ---- Cross entropy

class CrossEntropyFunction : public torch::autograd::Function<CrossEntropyFunction> {
 public:
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& logits,
                               const torch::Tensor& labels, double smoothing) {
    const torch::Tensor in = logits.contiguous();
    const int64_t rows = in.size(0), vocab = in.size(1);
    torch::Tensor gradient = torch::empty_like(in);
    std::vector<double> losses(rows);
    at::parallel_for(0, rows, 8, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        losses[r] = Loops().cross_entropy_row(
            in.data_ptr<float>() + r * vocab, gradient.data_ptr<float>() + r * vocab, vocab,
            labels.data_ptr<int64_t>()[r], static_cast<float>(smoothing));
      }
    });
    double total = 0;
    for (const double loss : losses) total += loss;
    context->save_for_backward({gradient});
    return torch::tensor(total, torch::kFloat64);
  }
  static tensor_list backward(AutogradContext* context, tensor_list gradients) {
    const torch::Tensor gradient = context->get_saved_variables()[0];
    return {gradient * gradients[0].item<double>(), torch::Tensor(), torch::Tensor()};
  }
};

// ---- Rotary attention

class RotaryAttentionFunction : public torch::autograd::Function<RotaryAttentionFunction> {
 public:
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& qkv,
                               const torch::Tensor& cos, const torch::Tensor& sin,
                               const torch::Tensor& source_ends, const torch::Tensor& target_ends,
                               const FusedAttentionShape& shape) {
    const int64_t rows = shape.samples * shape.columns, width = RowWidth(shape);
    const torch::Tensor in = qkv.contiguous();
    torch::Tensor rotated = torch::empty_like(in);
    torch::Tensor weights =
        torch::empty({shape.samples, shape.heads, shape.columns, shape.columns});
    torch::Tensor out = torch::empty({rows, shape.heads * shape.head_dim});
    RotateAll(in, cos, sin, shape, 1.0f, rotated);
    const float scale = 1.0f / std::sqrt(static_cast<float>(shape.head_dim));
    at::parallel_for(0, shape.samples, 1, [&](int64_t begin, int64_t end) {
      std::vector<float> keys_t(shape.columns * shape.head_dim);
      for (int64_t s = begin; s < end; ++s) {
        const float* sample = rotated.data_ptr<float>() + s * shape.columns * width;
        for (int64_t kv = 0; kv < shape.kv_heads; ++kv) {
          const float* keys = sample + (shape.heads + kv) * shape.head_dim;
          const float* values = keys + shape.kv_heads * shape.head_dim;
          Loops().transpose(keys, width, shape.columns, shape.head_dim, keys_t.data());
          const int64_t group = shape.heads / shape.kv_heads;
          for (int64_t h = kv * group; h < (kv + 1) * group; ++h) {
            for (int64_t c = 0; c < shape.columns; ++c) {
              const int64_t row = s * shape.columns + c;
              Loops().attend_row(sample + c * width + h * shape.head_dim, keys_t.data(), values,
                                 width, SpansOf(source_ends, target_ends, shape, row),
                                 shape.columns, shape.head_dim, scale,
                                 WeightsRow(weights, shape, s, h, c),
                                 out.data_ptr<float>() + (row * shape.heads + h) * shape.head_dim);
            }
          }
        }
      }
    });
    context->save_for_backward({rotated, weights, cos, sin, source_ends, target_ends});
    context->saved_data["shape"] =
        std::vector<int64_t>{shape.samples, shape.columns,  shape.source_columns,
                             shape.heads,   shape.kv_heads, shape.head_dim};
    return out;
  }

  static tensor_list backward(AutogradContext* context, tensor_list gradients) {
    const auto saved = context->get_saved_variables();
    const torch::Tensor &rotated = saved[0], &weights = saved[1], &cos = saved[2], &sin = saved[3];
    const std::vector<int64_t> sizes = context->saved_data["shape"].toIntVector();
    const FusedAttentionShape shape{sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5]};
    const int64_t width = RowWidth(shape);
    const torch::Tensor dout = gradients[0].contiguous();
    torch::Tensor drotated = torch::zeros_like(rotated);
    const float scale = 1.0f / std::sqrt(static_cast<float>(shape.head_dim));
    at::parallel_for(0, shape.samples, 1, [&](int64_t begin, int64_t end) {
      std::vector<float> values_t(shape.columns * shape.head_dim), scratch(shape.columns);
      for (int64_t s = begin; s < end; ++s) {
        const float* sample = rotated.data_ptr<float>() + s * shape.columns * width;
        float* dsample = drotated.data_ptr<float>() + s * shape.columns * width;
        for (int64_t kv = 0; kv < shape.kv_heads; ++kv) {
          const int64_t key_offset = (shape.heads + kv) * shape.head_dim;
          const int64_t value_offset = key_offset + shape.kv_heads * shape.head_dim;
          Loops().transpose(sample + value_offset, width, shape.columns, shape.head_dim,
                            values_t.data());
          const int64_t group = shape.heads / shape.kv_heads;
          for (int64_t h = kv * group; h < (kv + 1) * group; ++h) {
            for (int64_t c = 0; c < shape.columns; ++c) {
              const int64_t row = s * shape.columns + c;
              Loops().attend_row_backward(
                  sample + c * width + h * shape.head_dim,
                  dout.data_ptr<float>() + (row * shape.heads + h) * shape.head_dim,
                  sample + key_offset, values_t.data(), width,
                  SpansOf(saved[4], saved[5], shape, row), shape.columns, shape.head_dim, scale,
                  WeightsRow(weights, shape, s, h, c), scratch.data(),
                  dsample + c * width + h * shape.head_dim, dsample + key_offset,
                  dsample + value_offset, width);
            }
          }
        }
      }
    });
    torch::Tensor dqkv = torch::empty_like(drotated);
    RotateAll(drotated, cos, sin, shape, -1.0f, dqkv);
    return {dqkv,           torch::Tensor(), torch::Tensor(), torch::Tensor(), torch::Tensor(),
            torch::Tensor()};
  }

 private:
  static int64_t RowWidth(const FusedAttentionShape& shape) {
    return (shape.heads + 2 * shape.kv_heads) * shape.head_dim;
  }
  static float* WeightsRow(const torch::Tensor& weights, const FusedAttentionShape& shape,
                           int64_t sample, int64_t head, int64_t column) {
    return weights.data_ptr<float>() +
           ((sample * shape.heads + head) * shape.columns + column) * shape.columns;
  }
  static RowSpans SpansOf(const torch::Tensor& source_ends, const torch::Tensor& target_ends,
                          const FusedAttentionShape& shape, int64_t row) {
    return {{0, shape.source_columns},
            {source_ends.data_ptr<int32_t>()[row],
             shape.source_columns + target_ends.data_ptr<int32_t>()[row]}};
  }
  // Rotates q and k of every row (backwards for direction -1) and copies v.
  static void RotateAll(const torch::Tensor& in, const torch::Tensor& cos, const torch::Tensor& sin,
                        const FusedAttentionShape& shape, float direction, torch::Tensor& out) {
    const int64_t width = RowWidth(shape), half = shape.head_dim / 2;
    const int64_t rotated_heads = shape.heads + shape.kv_heads;
    at::parallel_for(0, in.size(0), kRowGrain, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        const float* from = in.data_ptr<float>() + r * width;
        float* to = out.data_ptr<float>() + r * width;
        Loops().rotate_row(from, to, cos.data_ptr<float>() + r * half,
                           sin.data_ptr<float>() + r * half, rotated_heads, shape.head_dim,
                           direction);
        std::memcpy(to + rotated_heads * shape.head_dim, from + rotated_heads * shape.head_dim,
                    sizeof(float) * shape.kv_heads * shape.head_dim);
      }
    });
  }
};

}  // namespace

const FusedLoops& SelectFusedLoops() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512cd")) {
    return kFusedLoopsAvx512;
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
      __builtin_cpu_supports("bmi2")) {
    return kFusedLoopsAvx2;
  }
#endif
  return kFusedLoopsBaseline;
}

torch::Tensor FusedRmsNorm(const torch::Tensor& x, const torch::Tensor& weight, double eps) {
  return RmsNormFunction::apply(x, weight, eps);
}

torch::Tensor FusedSwiGlu(const torch::Tensor& gate_up) { return SwiGluFunction::apply(gate_up); }

torch::Tensor FusedCrossEntropySum(const torch::Tensor& logits, const torch::Tensor& labels,
                                   double smoothing) {
  return CrossEntropyFunction::apply(logits, labels, smoothing);
}

torch::Tensor FusedRotaryAttention(const torch::Tensor& qkv, const torch::Tensor& cos,
                                   const torch::Tensor& sin, const torch::Tensor& source_ends,
                                   const torch::Tensor& target_ends,
                                   const FusedAttentionShape& shape) {
  return RotaryAttentionFunction::apply(qkv, cos, sin, source_ends, target_ends, shape);
}

}  // namespace dragoman::model
