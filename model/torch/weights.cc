#include "model/torch/weights.h"

#include <cmath>
#include <cstring>

#include "base/random.h"
#include "base/status_macros.h"
#include "torch/torch.h"

namespace dragoman::model {
namespace {

absl::StatusOr<torch::Dtype> TorchType(DType dtype) {
  switch (dtype) {
    case DType::kF64:
      return torch::kFloat64;
    case DType::kF32:
      return torch::kFloat32;
    case DType::kF16:
      return torch::kFloat16;
    case DType::kBF16:
      return torch::kBFloat16;
    default:
      return absl::InvalidArgumentError(
          absl::StrCat("weights of type ", DTypeName(dtype), " cannot be used"));
  }
}

// Copies one tensor of the package; views are not kept because the mapping may be unaligned.
class Reader {
 public:
  Reader(const ModelPackage& package, torch::Dtype dtype, const torch::Device& device)
      : package_(package), dtype_(dtype), device_(device) {}

  absl::StatusOr<torch::Tensor> Read(const std::string& name) const {
    DRAGOMAN_ASSIGN_OR_RETURN(const TensorView view, package_.Tensor(name));
    DRAGOMAN_ASSIGN_OR_RETURN(const torch::Dtype stored, TorchType(view.dtype));
    torch::Tensor tensor = torch::empty(view.shape, torch::TensorOptions().dtype(stored));
    std::memcpy(tensor.data_ptr(), view.bytes.data(), view.bytes.size());
    return tensor.to(device_, dtype_);
  }

  absl::StatusOr<torch::Tensor> ReadConcatenated(const std::string& prefix,
                                                 const std::vector<std::string>& parts,
                                                 const std::string& suffix) const {
    std::vector<torch::Tensor> tensors;
    for (const std::string& part : parts) {
      DRAGOMAN_ASSIGN_OR_RETURN(torch::Tensor tensor, Read(prefix + part + suffix));
      tensors.push_back(std::move(tensor));
    }
    return torch::cat(tensors, 0);
  }

 private:
  const ModelPackage& package_;
  const torch::Dtype dtype_;
  const torch::Device device_;
};

absl::StatusOr<LayerWeights> ReadLayer(const Reader& reader, const ModelConfig& config,
                                       int64_t layer) {
  const std::string prefix = absl::StrCat("model.layers.", layer, ".");
  LayerWeights weights;
  const auto read = [&](const std::string& name, torch::Tensor* out) -> absl::Status {
    DRAGOMAN_ASSIGN_OR_RETURN(*out, reader.Read(prefix + name));
    return absl::OkStatus();
  };
  const auto read_parts = [&](const std::vector<std::string>& parts, const std::string& suffix,
                              torch::Tensor* out) -> absl::Status {
    DRAGOMAN_ASSIGN_OR_RETURN(*out, reader.ReadConcatenated(prefix, parts, suffix));
    return absl::OkStatus();
  };
  const LayerModules modules = config.modules_of(layer);
  const std::vector<std::string> qkv =
      config.fused_projections
          ? std::vector<std::string>{"self_attn.qkv_proj"}
          : std::vector<std::string>{"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"};
  const std::vector<std::string> gate_up =
      config.fused_projections ? std::vector<std::string>{"mlp.gate_up_proj"}
                               : std::vector<std::string>{"mlp.gate_proj", "mlp.up_proj"};
  if (modules.attention) {
    DRAGOMAN_RETURN_IF_ERROR(read("input_layernorm.weight", &weights.attention_norm));
    DRAGOMAN_RETURN_IF_ERROR(read_parts(qkv, ".weight", &weights.qkv.weight));
    if (config.qkv_bias) DRAGOMAN_RETURN_IF_ERROR(read_parts(qkv, ".bias", &weights.qkv.bias));
    if (config.qk_norm) {
      DRAGOMAN_RETURN_IF_ERROR(read("self_attn.q_norm.weight", &weights.q_norm));
      DRAGOMAN_RETURN_IF_ERROR(read("self_attn.k_norm.weight", &weights.k_norm));
    }
    DRAGOMAN_RETURN_IF_ERROR(read("self_attn.o_proj.weight", &weights.output.weight));
    if (config.o_bias) {
      DRAGOMAN_RETURN_IF_ERROR(read("self_attn.o_proj.bias", &weights.output.bias));
    }
  }
  if (!modules.mlp) return weights;
  DRAGOMAN_RETURN_IF_ERROR(read("post_attention_layernorm.weight", &weights.ffn_norm));
  DRAGOMAN_RETURN_IF_ERROR(read_parts(gate_up, ".weight", &weights.gate_up.weight));
  DRAGOMAN_RETURN_IF_ERROR(read("mlp.down_proj.weight", &weights.down.weight));
  if (config.mlp_bias) {
    DRAGOMAN_RETURN_IF_ERROR(read_parts(gate_up, ".bias", &weights.gate_up.bias));
    DRAGOMAN_RETURN_IF_ERROR(read("mlp.down_proj.bias", &weights.down.bias));
  }
  return weights;
}

// Box-Muller over a counter-based stream, so that the bytes do not depend on torch's generators.
torch::Tensor NormalTensor(std::vector<int64_t> shape, double deviation, uint64_t seed,
                           const std::string& name) {
  torch::Tensor tensor = torch::empty(shape, torch::kFloat32);
  float* data = tensor.data_ptr<float>();
  RandomStream random(seed, name);
  for (int64_t i = 0; i < tensor.numel(); i += 2) {
    const double radius = std::sqrt(-2.0 * std::log(1.0 - random.NextUnit())) * deviation;
    const double angle = 2.0 * M_PI * random.NextUnit();
    data[i] = static_cast<float>(radius * std::cos(angle));
    if (i + 1 < tensor.numel()) data[i + 1] = static_cast<float>(radius * std::sin(angle));
  }
  return tensor;
}

void ListLinear(const std::string& name, const Linear& linear, std::vector<NamedParameter>* out) {
  if (!linear.weight.defined()) return;
  out->emplace_back(name + ".weight", linear.weight);
  if (linear.bias.defined()) out->emplace_back(name + ".bias", linear.bias);
  for (size_t i = 0; i < linear.adapters.size(); ++i) {
    out->emplace_back(absl::StrCat(name, ".lora_a.", i), linear.adapters[i].a);
    out->emplace_back(absl::StrCat(name, ".lora_b.", i), linear.adapters[i].b);
  }
}

}  // namespace

std::vector<NamedParameter> ListParameters(const TransformerWeights& weights) {
  std::vector<NamedParameter> list;
  list.emplace_back("embedding", weights.embedding);
  if (!weights.head.is_same(weights.embedding)) list.emplace_back("head", weights.head);
  list.emplace_back("final_norm", weights.final_norm);
  for (size_t i = 0; i < weights.layers.size(); ++i) {
    const LayerWeights& layer = weights.layers[i];
    const std::string prefix = absl::StrCat("layers.", i, ".");
    if (layer.attention_norm.defined()) {
      list.emplace_back(prefix + "attention_norm", layer.attention_norm);
    }
    ListLinear(prefix + "qkv", layer.qkv, &list);
    if (layer.q_norm.defined()) list.emplace_back(prefix + "q_norm", layer.q_norm);
    if (layer.k_norm.defined()) list.emplace_back(prefix + "k_norm", layer.k_norm);
    ListLinear(prefix + "output", layer.output, &list);
    if (layer.ffn_norm.defined()) list.emplace_back(prefix + "ffn_norm", layer.ffn_norm);
    ListLinear(prefix + "gate_up", layer.gate_up, &list);
    ListLinear(prefix + "down", layer.down, &list);
  }
  return list;
}

TransformerWeights MoveWeights(const TransformerWeights& weights, const torch::Device& device) {
  torch::NoGradGuard no_grad;
  TransformerWeights moved = weights;
  const auto move = [&](torch::Tensor* tensor) {
    if (tensor->defined()) *tensor = tensor->detach().to(device);
  };
  move(&moved.embedding);
  move(&moved.final_norm);
  if (weights.head.is_same(weights.embedding)) {
    moved.head = moved.embedding;
  } else {
    move(&moved.head);
  }
  for (LayerWeights& layer : moved.layers) {
    for (torch::Tensor* tensor :
         {&layer.attention_norm, &layer.q_norm, &layer.k_norm, &layer.ffn_norm}) {
      move(tensor);
    }
    for (Linear* linear : {&layer.qkv, &layer.output, &layer.gate_up, &layer.down}) {
      move(&linear->weight);
      move(&linear->bias);
      for (Adapter& adapter : linear->adapters) {
        move(&adapter.a);
        move(&adapter.b);
      }
    }
  }
  return moved;
}

absl::StatusOr<TransformerWeights> LoadWeights(const ModelPackage& package, torch::Dtype dtype,
                                               const torch::Device& device) {
  const ModelConfig& config = package.config();
  const Reader reader(package, dtype, device);
  TransformerWeights weights;
  DRAGOMAN_ASSIGN_OR_RETURN(weights.embedding, reader.Read("model.embed_tokens.weight"));
  DRAGOMAN_ASSIGN_OR_RETURN(weights.final_norm, reader.Read("model.norm.weight"));
  if (config.tie_word_embeddings) {
    weights.head = weights.embedding;
  } else {
    DRAGOMAN_ASSIGN_OR_RETURN(weights.head, reader.Read("lm_head.weight"));
  }
  for (int64_t layer = 0; layer < config.num_layers; ++layer) {
    DRAGOMAN_ASSIGN_OR_RETURN(LayerWeights one, ReadLayer(reader, config, layer));
    weights.layers.push_back(std::move(one));
  }
  return weights;
}

TransformerWeights InitWeights(const ModelConfig& config, uint64_t seed) {
  const int64_t hidden = config.hidden_size;
  const int64_t q_size = config.num_heads * config.head_dim;
  const int64_t qkv_size = q_size + 2 * config.num_kv_heads * config.head_dim;
  const double deviation = 0.02;
  const double residual = deviation / std::sqrt(2.0 * static_cast<double>(config.num_layers));
  const double embedding = 1.0 / std::sqrt(static_cast<double>(hidden));
  TransformerWeights weights;
  weights.embedding = NormalTensor({config.vocab_size, hidden}, embedding, seed, "embedding");
  weights.head = config.tie_word_embeddings
                     ? weights.embedding
                     : NormalTensor({config.vocab_size, hidden}, deviation, seed, "head");
  weights.final_norm = torch::ones({hidden});
  for (int64_t i = 0; i < config.num_layers; ++i) {
    const std::string prefix = absl::StrCat("layers.", i, ".");
    LayerWeights layer;
    layer.attention_norm = torch::ones({hidden});
    layer.ffn_norm = torch::ones({hidden});
    layer.qkv.weight = NormalTensor({qkv_size, hidden}, deviation, seed, prefix + "qkv");
    layer.output.weight = NormalTensor({hidden, q_size}, residual, seed, prefix + "output");
    layer.gate_up.weight =
        NormalTensor({2 * config.ffn_size, hidden}, deviation, seed, prefix + "gate_up");
    layer.down.weight = NormalTensor({hidden, config.ffn_size}, residual, seed, prefix + "down");
    if (config.qkv_bias) layer.qkv.bias = torch::zeros({qkv_size});
    if (config.o_bias) layer.output.bias = torch::zeros({hidden});
    if (config.mlp_bias) {
      layer.gate_up.bias = torch::zeros({2 * config.ffn_size});
      layer.down.bias = torch::zeros({hidden});
    }
    if (config.qk_norm) {
      layer.q_norm = torch::ones({config.head_dim});
      layer.k_norm = torch::ones({config.head_dim});
    }
    weights.layers.push_back(std::move(layer));
  }
  return weights;
}

void AddAdapters(const ModelConfig& config, int64_t rank, double alpha, uint64_t seed,
                 TransformerWeights* weights) {
  const int64_t q_size = config.num_heads * config.head_dim;
  const int64_t kv_size = config.num_kv_heads * config.head_dim;
  const auto add = [&](Linear* linear, const std::string& name,
                       const std::vector<int64_t>& row_counts) {
    if (!linear->weight.defined()) return;
    const int64_t in = linear->weight.size(1);
    linear->adapter_scale = alpha / static_cast<double>(rank);
    int64_t row = 0;
    for (const int64_t rows : row_counts) {
      Adapter adapter;
      adapter.row_begin = row;
      adapter.row_end = row + rows;
      adapter.a = NormalTensor({rank, in}, 1.0 / std::sqrt(static_cast<double>(in)), seed,
                               absl::StrCat("lora.", name, ".", row));
      adapter.b = torch::zeros({rows, rank});
      linear->adapters.push_back(std::move(adapter));
      row += rows;
    }
  };
  for (size_t i = 0; i < weights->layers.size(); ++i) {
    LayerWeights& layer = weights->layers[i];
    const std::string prefix = absl::StrCat("layers.", i, ".");
    add(&layer.qkv, prefix + "qkv", {q_size, kv_size, kv_size});
    add(&layer.output, prefix + "output", {config.hidden_size});
    add(&layer.gate_up, prefix + "gate_up", {config.ffn_size, config.ffn_size});
    add(&layer.down, prefix + "down", {config.hidden_size});
  }
}

void MergeAdapters(TransformerWeights* weights) {
  torch::NoGradGuard no_grad;
  for (LayerWeights& layer : weights->layers) {
    for (Linear* linear : {&layer.qkv, &layer.output, &layer.gate_up, &layer.down}) {
      for (const Adapter& adapter : linear->adapters) {
        torch::Tensor rows =
            linear->weight.narrow(0, adapter.row_begin, adapter.row_end - adapter.row_begin);
        rows.add_(torch::mm(adapter.b, adapter.a).to(rows.dtype()), linear->adapter_scale);
      }
      linear->adapters.clear();
      linear->adapter_scale = 0;
    }
  }
}

std::vector<std::pair<std::string, torch::Tensor>> ExportHuggingFace(
    const ModelConfig& config, const TransformerWeights& weights) {
  torch::NoGradGuard no_grad;
  std::vector<std::pair<std::string, torch::Tensor>> out;
  const auto put = [&](const std::string& name, const torch::Tensor& tensor) {
    if (!tensor.defined()) return;  // a module or a bias that the model does not have
    out.emplace_back(name, tensor.detach().to(torch::kCPU, torch::kFloat32).contiguous());
  };
  const int64_t q_size = config.num_heads * config.head_dim;
  const int64_t kv_size = config.num_kv_heads * config.head_dim;
  put("model.embed_tokens.weight", weights.embedding);
  put("model.norm.weight", weights.final_norm);
  if (!config.tie_word_embeddings) put("lm_head.weight", weights.head);
  for (size_t i = 0; i < weights.layers.size(); ++i) {
    const LayerWeights& layer = weights.layers[i];
    const std::string prefix = absl::StrCat("model.layers.", i, ".");
    put(prefix + "input_layernorm.weight", layer.attention_norm);
    put(prefix + "post_attention_layernorm.weight", layer.ffn_norm);
    // Writes the fused rows under the names of the architecture.
    const auto put_rows = [&](const torch::Tensor& fused, const std::string& fused_name,
                              const std::vector<std::pair<std::string, int64_t>>& parts,
                              const std::string& suffix) {
      if (!fused.defined()) return;
      if (config.fused_projections) {
        put(prefix + fused_name + suffix, fused);
        return;
      }
      int64_t row = 0;
      for (const auto& [name, rows] : parts) {
        put(prefix + name + suffix, fused.narrow(0, row, rows));
        row += rows;
      }
    };
    const std::vector<std::pair<std::string, int64_t>> qkv = {
        {"self_attn.q_proj", q_size}, {"self_attn.k_proj", kv_size}, {"self_attn.v_proj", kv_size}};
    const std::vector<std::pair<std::string, int64_t>> gate_up = {
        {"mlp.gate_proj", config.ffn_size}, {"mlp.up_proj", config.ffn_size}};
    put_rows(layer.qkv.weight, "self_attn.qkv_proj", qkv, ".weight");
    put_rows(layer.qkv.bias, "self_attn.qkv_proj", qkv, ".bias");
    put_rows(layer.gate_up.weight, "mlp.gate_up_proj", gate_up, ".weight");
    put_rows(layer.gate_up.bias, "mlp.gate_up_proj", gate_up, ".bias");
    put(prefix + "self_attn.o_proj.weight", layer.output.weight);
    put(prefix + "self_attn.o_proj.bias", layer.output.bias);
    put(prefix + "mlp.down_proj.weight", layer.down.weight);
    put(prefix + "mlp.down_proj.bias", layer.down.bias);
    put(prefix + "self_attn.q_norm.weight", layer.q_norm);
    put(prefix + "self_attn.k_norm.weight", layer.k_norm);
  }
  return out;
}

}  // namespace dragoman::model
