#include "model/torch/transformer.h"

#include "model/torch/device_ops.h"
#include "model/torch/fused_ops.h"
#include "model/torch/matrix_product.h"
#include "torch/torch.h"

namespace dragoman::model {
namespace {

// y = x W^T with operands and result rounded to bf16 and fp32 sums. The machine's bf16 products are
// several times faster than fp32 ones; weights and the residual stream stay fp32.
class Bfloat16Linear : public torch::autograd::Function<Bfloat16Linear> {
 public:
  static torch::Tensor forward(torch::autograd::AutogradContext* context, const torch::Tensor& x,
                               const torch::Tensor& weight) {
    const torch::Tensor x16 = x.to(torch::kBFloat16);
    const torch::Tensor w16 = weight.to(torch::kBFloat16);
    context->save_for_backward({x16, w16});
    context->saved_data["type"] = x.scalar_type();
    return MatrixProduct(x16, w16.t(), torch::kBFloat16);
  }
  static torch::autograd::tensor_list backward(torch::autograd::AutogradContext* context,
                                               torch::autograd::tensor_list gradients) {
    const auto saved = context->get_saved_variables();
    const torch::Tensor& g16 = gradients[0];
    torch::Tensor dx, dw;
    if (context->needs_input_grad(0)) {
      dx = MatrixProduct(g16, saved[1], torch::kBFloat16)
               .to(context->saved_data["type"].toScalarType());
    }
    if (context->needs_input_grad(1)) dw = MatrixProduct(g16.t(), saved[0], torch::kFloat32);
    return {dx, dw};
  }
};

bool Bfloat16Activations(const ForwardOptions& options) {
  return options.bfloat16_products && (options.fused || options.bfloat16_activations);
}

torch::Dtype ActivationType(const TransformerWeights& weights, const ForwardOptions& options) {
  return Bfloat16Activations(options) ? torch::kBFloat16 : weights.embedding.scalar_type();
}

torch::Tensor Product(const torch::Tensor& x, const torch::Tensor& weight,
                      const ForwardOptions& options) {
  if (!options.bfloat16_products) return torch::mm(x, weight.t());
  const torch::Tensor y = Bfloat16Linear::apply(x, weight);
  return Bfloat16Activations(options) ? y : y.to(torch::kFloat32);
}

torch::Tensor Dropout(const torch::Tensor& x, double rate) {
  return rate > 0 ? torch::dropout(x, rate, /*train=*/true) : x;
}

// x plus dropout of the branch f(input) for the rows whose gate is open. gates: [rows, 2] or
// undefined.
template <typename Branch>
torch::Tensor AddBranch(const torch::Tensor& x, const torch::Tensor& input,
                        const torch::Tensor& gates, int64_t module, const ForwardOptions& options,
                        const Branch& module_output) {
  if (!gates.defined() && options.fused) {
    return FusedDropoutAdd(x, module_output(input), options.dropout);
  }
  const auto branch = [&](const torch::Tensor& rows) {
    const torch::Tensor out = module_output(rows);
    return options.fused ? FusedDropoutAdd(c10::nullopt, out, options.dropout)
                         : Dropout(out, options.dropout);
  };
  if (!gates.defined()) return x + branch(input);
  const torch::Tensor gate = gates.select(1, module);
  if (gates.requires_grad()) return x + gate.unsqueeze(1) * branch(input);
  if (!options.gather_rows) return torch::where(gate.unsqueeze(1) > 0, x + branch(input), x);
  const torch::Tensor rows = gate.nonzero().squeeze(1);
  if (rows.numel() == 0) return x;
  return x.index_copy(0, rows, x.index_select(0, rows) + branch(input.index_select(0, rows)));
}

}  // namespace

RotaryTable::RotaryTable(const ModelConfig& config, int64_t num_positions, torch::Dtype dtype,
                         const torch::Device& device) {
  const RopeFrequencies frequencies = ComputeRopeFrequencies(config);
  const torch::Tensor inverse = torch::tensor(frequencies.inverse, torch::kFloat64);
  const torch::Tensor positions = torch::arange(num_positions, torch::kFloat64);
  const torch::Tensor angles = torch::outer(positions, inverse);
  // Rotation runs in fp32 also for 16-bit weights.
  const torch::Dtype kept = dtype == torch::kFloat64 ? torch::kFloat64 : torch::kFloat32;
  cos_ = (angles.cos() * frequencies.amplitude).to(device, kept);
  sin_ = (angles.sin() * frequencies.amplitude).to(device, kept);
}

std::pair<torch::Tensor, torch::Tensor> RotaryTable::Rows(const torch::Tensor& positions) const {
  return {cos_.index_select(0, positions).unsqueeze(1),
          sin_.index_select(0, positions).unsqueeze(1)};
}

torch::Tensor ApplyRotary(const torch::Tensor& x, const torch::Tensor& cos,
                          const torch::Tensor& sin) {
  const torch::Tensor wide = x.to(cos.dtype());
  const std::vector<torch::Tensor> halves = wide.chunk(2, -1);
  return torch::cat({halves[0] * cos - halves[1] * sin, halves[1] * cos + halves[0] * sin}, -1)
      .to(x.dtype());
}

torch::Tensor RmsNorm(const torch::Tensor& x, const torch::Tensor& weight, double eps) {
  const bool narrow = x.dtype() == torch::kBFloat16 || x.dtype() == torch::kFloat16;
  const torch::Tensor wide = narrow ? x.to(torch::kFloat32) : x;
  const torch::Tensor scale = torch::rsqrt(wide.square().mean(-1, /*keepdim=*/true) + eps);
  return (wide * scale).to(x.dtype()) * weight;
}

torch::Tensor ApplyLinear(const Linear& linear, const torch::Tensor& x,
                          const ForwardOptions& options) {
  torch::Tensor y = Product(x, linear.weight, options);
  if (!linear.bias.defined() && linear.adapters.empty()) return y;
  y = y.to(linear.weight.scalar_type());
  if (linear.bias.defined()) y = y + linear.bias;
  if (linear.adapters.empty()) return y;
  std::vector<torch::Tensor> deltas;
  const torch::Tensor dropped = Dropout(x, options.adapter_dropout);
  for (const Adapter& adapter : linear.adapters) {
    deltas.push_back(Product(Product(dropped, adapter.a, options), adapter.b, options)
                         .to(linear.weight.scalar_type()));
  }
  return y + torch::cat(deltas, 1) * linear.adapter_scale;
}

torch::Tensor RunTransformer(const ModelConfig& config, const TransformerWeights& weights,
                             const torch::Tensor& tokens, const AttendFn& attend,
                             const ForwardOptions& options) {
  const int64_t rows = tokens.size(0);
  const int64_t heads = config.num_heads, kv_heads = config.num_kv_heads;
  const auto norm = [&](const torch::Tensor& x, const torch::Tensor& weight) {
    const torch::Dtype kept = ActivationType(weights, options);
    if (options.fused) return FusedRmsNorm(x, weight, config.rms_norm_eps, kept);
    if (kept != x.scalar_type()) return DeviceRmsNorm(x, weight, config.rms_norm_eps, kept);
    return RmsNorm(x, weight, config.rms_norm_eps);
  };
  torch::Tensor x = torch::embedding(weights.embedding, tokens);
  if (options.dropout > 0) {
    x = options.fused ? FusedDropoutAdd(c10::nullopt, x, options.dropout)
                      : Dropout(x, options.dropout);
  }
  for (size_t i = 0; i < weights.layers.size(); ++i) {
    const LayerWeights& layer = weights.layers[i];
    const torch::Tensor gates =
        options.gates ? options.gates(static_cast<int64_t>(i), x) : torch::Tensor();
    const auto add_branch = [&](int64_t module, const torch::Tensor& input, const auto& branch) {
      const torch::Tensor sum = AddBranch(x, input, gates, module, options, branch);
      if (options.observe) options.observe(static_cast<int64_t>(i), module, x, sum);
      x = sum;
    };
    if (layer.qkv.weight.defined()) {
      torch::Tensor qkv = ApplyLinear(layer.qkv, norm(x, layer.attention_norm), options)
                              .view({rows, heads + 2 * kv_heads, config.head_dim});
      if (config.qk_norm) {
        qkv = qkv.to(x.scalar_type());
        qkv =
            torch::cat({RmsNorm(qkv.narrow(1, 0, heads), layer.q_norm, config.rms_norm_eps),
                        RmsNorm(qkv.narrow(1, heads, kv_heads), layer.k_norm, config.rms_norm_eps),
                        qkv.narrow(1, heads + kv_heads, kv_heads)},
                       1);
      }
      add_branch(0, attend(static_cast<int64_t>(i), qkv), [&](const torch::Tensor& input) {
        return ApplyLinear(layer.output, input, options);
      });
    }
    if (layer.down.weight.defined()) {
      add_branch(1, x, [&](const torch::Tensor& input) {
        const torch::Tensor gate_up =
            ApplyLinear(layer.gate_up, norm(input, layer.ffn_norm), options);
        torch::Tensor activated;
        if (options.fused) {
          activated = FusedSwiGlu(gate_up);
        } else {
          const std::vector<torch::Tensor> halves = gate_up.chunk(2, 1);
          activated = torch::silu(halves[0]) * halves[1];
        }
        return ApplyLinear(layer.down, activated, options);
      });
    }
  }
  return norm(x, weights.final_norm);
}

torch::Tensor ProjectToVocabulary(const TransformerWeights& weights, const torch::Tensor& hidden,
                                  const ForwardOptions& options) {
  return Product(hidden, weights.head, options).to(weights.head.scalar_type());
}

}  // namespace dragoman::model
