#include "model/torch/fused_ops.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "model/torch/fused_loops.h"
#include "model/torch/matrix_product.h"
#include "torch/torch.h"

// Without it at::parallel_for runs serially and says nothing.
#ifndef _OPENMP
#error "compile this file with OpenMP"
#endif

namespace dragoman::model {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::tensor_list;

constexpr int64_t kRowGrain = 64;

const FusedLoops& Loops() {
  static const FusedLoops& loops = SelectFusedLoops();
  return loops;
}

// Calls function(T{}) with the storage type of activations.
template <typename Function>
void WithActivationType(const torch::Tensor& activations, const Function& function) {
  switch (activations.scalar_type()) {
    case torch::kFloat32:
      return function(float{});
    case torch::kBFloat16:
      return function(Bfloat16Bits{});
    default:
      TORCH_CHECK(false, "fused operations take fp32 and bf16, not ", activations.dtype());
  }
}

template <typename T>
T* Data(const torch::Tensor& tensor) {
  return static_cast<T*>(tensor.data_ptr());
}

// ---- RMSNorm

class RmsNormFunction : public torch::autograd::Function<RmsNormFunction> {
 public:
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& x,
                               const torch::Tensor& weight, double eps, torch::Dtype kept) {
    const torch::Tensor in = x.contiguous();
    const int64_t rows = in.size(0), width = in.size(1);
    torch::Tensor y = torch::empty({rows, width}, kept), inverse = torch::empty({rows});
    WithActivationType(y, [&](auto type) {
      using T = decltype(type);
      at::parallel_for(0, rows, kRowGrain, [&](int64_t begin, int64_t end) {
        Loops().For<T>().norm_forward(Data<float>(in) + begin * width, Data<float>(weight),
                                      Data<T>(y) + begin * width, Data<float>(inverse) + begin,
                                      end - begin, width, static_cast<float>(eps));
      });
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
    WithActivationType(dy, [&](auto type) {
      using T = decltype(type);
      at::parallel_for(0, parts, 1, [&](int64_t begin, int64_t end) {
        for (int64_t part = begin; part < end; ++part) {
          const int64_t first = rows * part / parts, last = rows * (part + 1) / parts;
          Loops().For<T>().norm_backward(Data<float>(x) + first * width, Data<float>(weight),
                                         Data<float>(inverse) + first, Data<T>(dy) + first * width,
                                         Data<float>(dx) + first * width,
                                         Data<float>(partial) + part * width, last - first, width);
        }
      });
    });
    return {dx, partial.sum(0), torch::Tensor(), torch::Tensor()};
  }
};

// ---- SwiGLU

class SwiGluFunction : public torch::autograd::Function<SwiGluFunction> {
 public:
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& gate_up) {
    const torch::Tensor in = gate_up.contiguous();
    const int64_t rows = in.size(0), width = in.size(1) / 2;
    torch::Tensor y = torch::empty({rows, width}, in.options());
    WithActivationType(in, [&](auto type) {
      using T = decltype(type);
      at::parallel_for(0, rows, kRowGrain, [&](int64_t begin, int64_t end) {
        Loops().For<T>().swiglu_forward(Data<T>(in) + begin * 2 * width, Data<T>(y) + begin * width,
                                        end - begin, width);
      });
    });
    context->save_for_backward({in});
    return y;
  }
  static tensor_list backward(AutogradContext* context, tensor_list gradients) {
    const torch::Tensor in = context->get_saved_variables()[0];
    const torch::Tensor dy = gradients[0].contiguous();
    const int64_t rows = in.size(0), width = in.size(1) / 2;
    torch::Tensor d = torch::empty_like(in);
    WithActivationType(in, [&](auto type) {
      using T = decltype(type);
      at::parallel_for(0, rows, kRowGrain, [&](int64_t begin, int64_t end) {
        Loops().For<T>().swiglu_backward(Data<T>(in) + begin * 2 * width,
                                         Data<T>(dy) + begin * width,
                                         Data<T>(d) + begin * 2 * width, end - begin, width);
      });
    });
    return {d};
  }
};

// ---- dropout and residual sum

class DropoutAddFunction : public torch::autograd::Function<DropoutAddFunction> {
 public:
  static torch::Tensor forward(AutogradContext* context, const c10::optional<torch::Tensor>& x,
                               const torch::Tensor& branch, double rate) {
    const torch::Tensor residual = x.has_value() ? x->contiguous() : torch::Tensor();
    const torch::Tensor in = branch.contiguous();
    const int64_t rows = in.size(0), width = in.size(1);
    const int64_t seed =
        rate > 0 ? torch::randint(0, int64_t{1} << 32, {1}, torch::kInt64).item<int64_t>() : 0;
    torch::Tensor out = torch::empty({rows, width});
    WithActivationType(in, [&](auto type) {
      using T = decltype(type);
      at::parallel_for(0, rows, kRowGrain, [&](int64_t begin, int64_t end) {
        const int64_t first = begin * width;
        Loops().For<T>().dropout_add(residual.defined() ? Data<float>(residual) + first : nullptr,
                                     Data<T>(in) + first, Data<float>(out) + first, first,
                                     (end - begin) * width, static_cast<uint32_t>(seed),
                                     static_cast<float>(rate));
      });
    });
    context->saved_data["residual"] = residual.defined();
    context->saved_data["seed"] = seed;
    context->saved_data["rate"] = rate;
    context->saved_data["type"] = in.scalar_type();
    return out;
  }
  static tensor_list backward(AutogradContext* context, tensor_list gradients) {
    const torch::Tensor dout = gradients[0].contiguous();
    const int64_t rows = dout.size(0), width = dout.size(1);
    const auto seed = static_cast<uint32_t>(context->saved_data["seed"].toInt());
    const auto rate = static_cast<float>(context->saved_data["rate"].toDouble());
    torch::Tensor dbranch = torch::empty(
        {rows, width}, static_cast<torch::Dtype>(context->saved_data["type"].toScalarType()));
    WithActivationType(dbranch, [&](auto type) {
      using T = decltype(type);
      at::parallel_for(0, rows, kRowGrain, [&](int64_t begin, int64_t end) {
        const int64_t first = begin * width;
        Loops().For<T>().dropout_backward(Data<float>(dout) + first, Data<T>(dbranch) + first,
                                          first, (end - begin) * width, seed, rate);
      });
    });
    return {context->saved_data["residual"].toBool() ? dout : torch::Tensor(), dbranch,
            torch::Tensor()};
  }
};

// ---- output layer and cross entropy

class HeadLossFunction : public torch::autograd::Function<HeadLossFunction> {
 public:
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& hidden,
                               const torch::Tensor& head, const torch::Tensor& labels,
                               double smoothing) {
    const torch::Tensor weight = head.to(hidden.scalar_type());
    // Logits, then their gradient in the same place.
    torch::Tensor gradient = MatrixProduct(hidden, weight.t(), hidden.scalar_type());
    const int64_t rows = gradient.size(0), vocab = gradient.size(1);
    std::vector<double> losses(rows);
    WithActivationType(gradient, [&](auto type) {
      using T = decltype(type);
      at::parallel_for(0, rows, 8, [&](int64_t begin, int64_t end) {
        std::vector<float> scratch(vocab);
        for (int64_t r = begin; r < end; ++r) {
          T* row = Data<T>(gradient) + r * vocab;
          losses[r] = Loops().For<T>().cross_entropy_row(row, row, scratch.data(), vocab,
                                                         Data<int64_t>(labels)[r],
                                                         static_cast<float>(smoothing));
        }
      });
    });
    double total = 0;
    for (const double loss : losses) total += loss;
    context->save_for_backward({gradient, hidden, weight});
    return torch::tensor(total, torch::kFloat64);
  }
  static tensor_list backward(AutogradContext* context, tensor_list gradients) {
    const auto saved = context->get_saved_variables();
    const torch::Tensor &gradient = saved[0], &hidden = saved[1], &weight = saved[2];
    const double scale = gradients[0].item<double>();
    torch::Tensor dhidden, dhead;
    if (context->needs_input_grad(0)) {
      dhidden = MatrixProduct(gradient, weight, gradient.scalar_type()).mul_(scale);
    }
    if (context->needs_input_grad(1)) {
      dhead = MatrixProduct(gradient.t(), hidden, torch::kFloat32).mul_(scale);
    }
    return {dhidden, dhead, torch::Tensor(), torch::Tensor()};
  }
};

// ---- rotary attention

// One sample in fp32: its rows of rotated q and k, and of v, and what its heads share.
class AttentionSample {
 public:
  AttentionSample(const FusedAttentionShape& shape, const torch::Tensor& cos,
                  const torch::Tensor& sin, const torch::Tensor& source_ends,
                  const torch::Tensor& target_ends)
      : shape_(shape),
        width_((shape.heads + 2 * shape.kv_heads) * shape.head_dim),
        lanes_((shape.columns + kAttentionLanes - 1) / kAttentionLanes * kAttentionLanes),
        cos_(cos),
        sin_(sin),
        source_ends_(source_ends),
        target_ends_(target_ends),
        rotated_(shape.columns * width_),
        spans_(shape.columns),
        scratch_((shape.head_dim + shape.columns) * lanes_) {}

  int64_t width() const { return width_; }
  int64_t lanes() const { return lanes_; }
  float* scratch() { return scratch_.data(); }

  template <typename T>
  void Load(const torch::Tensor& qkv, int64_t sample) {
    const int64_t half = shape_.head_dim / 2;
    for (int64_t c = 0; c < shape_.columns; ++c) {
      const int64_t row = sample * shape_.columns + c;
      Loops().For<T>().rotate_row(Data<T>(qkv) + row * width_, rotated_.data() + c * width_,
                                  Data<float>(cos_) + row * half, Data<float>(sin_) + row * half,
                                  shape_.heads + shape_.kv_heads, shape_.head_dim,
                                  shape_.kv_heads * shape_.head_dim);
      spans_[c] = {{0, shape_.source_columns},
                   {Data<int32_t>(source_ends_)[row],
                    shape_.source_columns + Data<int32_t>(target_ends_)[row]}};
    }
  }

  // The gradient of the rotated rows as that of the rows before rotation.
  template <typename T>
  void StoreGradient(const std::vector<float>& gradient, int64_t sample, torch::Tensor* dqkv) {
    const int64_t half = shape_.head_dim / 2;
    for (int64_t c = 0; c < shape_.columns; ++c) {
      const int64_t row = sample * shape_.columns + c;
      Loops().For<T>().unrotate_row(gradient.data() + c * width_, Data<T>(*dqkv) + row * width_,
                                    Data<float>(cos_) + row * half, Data<float>(sin_) + row * half,
                                    shape_.heads + shape_.kv_heads, shape_.head_dim,
                                    shape_.kv_heads * shape_.head_dim);
    }
  }

  int64_t KeyOffset(int64_t head) const {
    return (shape_.heads + head / (shape_.heads / shape_.kv_heads)) * shape_.head_dim;
  }
  int64_t ValueOffset(int64_t head) const {
    return KeyOffset(head) + shape_.kv_heads * shape_.head_dim;
  }
  // weights: probabilities of all samples and heads.
  AttentionHead Head(int64_t head, int64_t sample, const torch::Tensor& weights) const {
    return {rotated_.data() + head * shape_.head_dim,
            rotated_.data() + KeyOffset(head),
            rotated_.data() + ValueOffset(head),
            width_,
            shape_.columns,
            lanes_,
            shape_.head_dim,
            spans_.data(),
            1.0f / std::sqrt(static_cast<float>(shape_.head_dim)),
            Data<float>(weights) + (sample * shape_.heads + head) * shape_.columns * lanes_};
  }

 private:
  const FusedAttentionShape& shape_;
  const int64_t width_, lanes_;
  const torch::Tensor &cos_, &sin_, &source_ends_, &target_ends_;
  std::vector<float> rotated_;  // [columns, width]
  std::vector<RowSpans> spans_;
  std::vector<float> scratch_;
};

class RotaryAttentionFunction : public torch::autograd::Function<RotaryAttentionFunction> {
 public:
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& qkv,
                               const torch::Tensor& cos, const torch::Tensor& sin,
                               const torch::Tensor& source_ends, const torch::Tensor& target_ends,
                               const FusedAttentionShape& shape) {
    const torch::Tensor in = qkv.contiguous();
    const int64_t out_width = shape.heads * shape.head_dim;
    const int64_t lanes = AttentionSample(shape, cos, sin, source_ends, target_ends).lanes();
    torch::Tensor weights = torch::empty({shape.samples, shape.heads, shape.columns, lanes});
    torch::Tensor out = torch::empty({shape.samples * shape.columns, out_width}, in.options());
    WithActivationType(in, [&](auto type) {
      using T = decltype(type);
      at::parallel_for(0, shape.samples, 1, [&](int64_t begin, int64_t end) {
        AttentionSample rows(shape, cos, sin, source_ends, target_ends);
        std::vector<float> attended(shape.columns * out_width);
        for (int64_t s = begin; s < end; ++s) {
          rows.Load<T>(in, s);
          for (int64_t h = 0; h < shape.heads; ++h) {
            Loops().attention.forward(rows.Head(h, s, weights), rows.scratch(),
                                      attended.data() + h * shape.head_dim, out_width);
          }
          Loops().For<T>().narrow(attended.data(), Data<T>(out) + s * shape.columns * out_width,
                                  shape.columns * out_width);
        }
      });
    });
    context->save_for_backward({in, weights, cos, sin, source_ends, target_ends});
    context->saved_data["shape"] =
        std::vector<int64_t>{shape.samples, shape.columns,  shape.source_columns,
                             shape.heads,   shape.kv_heads, shape.head_dim};
    return out;
  }

  static tensor_list backward(AutogradContext* context, tensor_list gradients) {
    const auto saved = context->get_saved_variables();
    const torch::Tensor &in = saved[0], &weights = saved[1];
    const std::vector<int64_t> sizes = context->saved_data["shape"].toIntVector();
    const FusedAttentionShape shape{sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5]};
    const int64_t out_width = shape.heads * shape.head_dim;
    const torch::Tensor dout = gradients[0].contiguous();
    torch::Tensor dqkv = torch::empty_like(in);
    WithActivationType(in, [&](auto type) {
      using T = decltype(type);
      at::parallel_for(0, shape.samples, 1, [&](int64_t begin, int64_t end) {
        AttentionSample rows(shape, saved[2], saved[3], saved[4], saved[5]);
        std::vector<float> upstream(shape.columns * out_width), gradient;
        for (int64_t s = begin; s < end; ++s) {
          rows.Load<T>(in, s);
          Loops().For<T>().widen(Data<T>(dout) + s * shape.columns * out_width, upstream.data(),
                                 shape.columns * out_width);
          gradient.assign(shape.columns * rows.width(), 0.0f);
          for (int64_t h = 0; h < shape.heads; ++h) {
            Loops().attention.backward(rows.Head(h, s, weights),
                                       upstream.data() + h * shape.head_dim, out_width,
                                       rows.scratch(), gradient.data() + h * shape.head_dim,
                                       gradient.data() + rows.KeyOffset(h),
                                       gradient.data() + rows.ValueOffset(h), rows.width());
          }
          rows.StoreGradient<T>(gradient, s, &dqkv);
        }
      });
    });
    return {dqkv,           torch::Tensor(), torch::Tensor(), torch::Tensor(), torch::Tensor(),
            torch::Tensor()};
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

torch::Tensor FusedRmsNorm(const torch::Tensor& x, const torch::Tensor& weight, double eps,
                           torch::Dtype kept) {
  return RmsNormFunction::apply(x, weight, eps, kept);
}

torch::Tensor FusedSwiGlu(const torch::Tensor& gate_up) { return SwiGluFunction::apply(gate_up); }

torch::Tensor FusedDropoutAdd(const c10::optional<torch::Tensor>& x, const torch::Tensor& branch,
                              double rate) {
  return DropoutAddFunction::apply(x, branch, rate);
}

torch::Tensor FusedHeadLossSum(const torch::Tensor& hidden, const torch::Tensor& head,
                               const torch::Tensor& labels, double smoothing) {
  return HeadLossFunction::apply(hidden, head, labels, smoothing);
}

torch::Tensor FusedRotaryAttention(const torch::Tensor& qkv, const torch::Tensor& cos,
                                   const torch::Tensor& sin, const torch::Tensor& source_ends,
                                   const torch::Tensor& target_ends,
                                   const FusedAttentionShape& shape) {
  return RotaryAttentionFunction::apply(qkv, cos, sin, source_ends, target_ends, shape);
}

}  // namespace dragoman::model
