#include "model/native/native_weights.h"

#include <cmath>
#include <cstring>
#include <string>

#include "base/random.h"
#include "base/status_macros.h"

namespace dragoman::model {
namespace {

float FromFloat16(uint16_t value) {
  const uint32_t sign = static_cast<uint32_t>(value & 0x8000u) << 16;
  const uint32_t exponent = (value >> 10) & 0x1Fu;
  const uint32_t mantissa = value & 0x3FFu;
  if (exponent == 0) {  // zero and subnormals: mantissa * 2^-24
    const float magnitude = static_cast<float>(mantissa) * 0x1.0p-24f;
    return sign != 0 ? -magnitude : magnitude;
  }
  const uint32_t bits = exponent == 31 ? sign | 0x7F800000u | (mantissa << 13)
                                       : sign | ((exponent + 112) << 23) | (mantissa << 13);
  float result = 0;
  std::memcpy(&result, &bits, sizeof(result));
  return result;
}

template <typename T>
T ReadAs(const char* bytes, int64_t index) {
  T value{};
  std::memcpy(&value, bytes + index * static_cast<int64_t>(sizeof(T)), sizeof(T));
  return value;
}

class Reader {
 public:
  Reader(const ModelPackage& package, WeightType type) : package_(package), type_(type) {}

  // Appends the entries of a tensor as fp32.
  absl::Status Append(const std::string& name, std::vector<float>* out) const {
    DRAGOMAN_ASSIGN_OR_RETURN(const TensorView view, package_.Tensor(name));
    const char* bytes = view.bytes.data();
    const int64_t count = view.num_elements();
    out->reserve(out->size() + static_cast<size_t>(count));
    for (int64_t i = 0; i < count; ++i) {
      switch (view.dtype) {
        case DType::kF32:
          out->push_back(ReadAs<float>(bytes, i));
          break;
        case DType::kBF16:
          out->push_back(FromBfloat16(ReadAs<uint16_t>(bytes, i)));
          break;
        case DType::kF16:
          out->push_back(FromFloat16(ReadAs<uint16_t>(bytes, i)));
          break;
        case DType::kF64:
          out->push_back(static_cast<float>(ReadAs<double>(bytes, i)));
          break;
        default:
          return absl::UnimplementedError(
              absl::StrCat(name, ": weights of type ", DTypeName(view.dtype), " cannot be used"));
      }
    }
    return absl::OkStatus();
  }

  // The rows of several tensors below each other.
  absl::Status Matrix(const std::string& prefix, const std::vector<std::string>& parts,
                      int64_t inputs, PackedMatrix* out) const {
    std::vector<float> weights;
    for (const std::string& part : parts) {
      DRAGOMAN_RETURN_IF_ERROR(Append(prefix + part + ".weight", &weights));
    }
    *out = PackedMatrix::Pack(weights.data(), static_cast<int64_t>(weights.size()) / inputs, inputs,
                              type_);
    return absl::OkStatus();
  }
  absl::Status Linear(const std::string& prefix, const std::vector<std::string>& parts,
                      int64_t inputs, bool with_bias, NativeLinear* out) const {
    DRAGOMAN_RETURN_IF_ERROR(Matrix(prefix, parts, inputs, &out->weight));
    if (!with_bias) return absl::OkStatus();
    for (const std::string& part : parts) {
      DRAGOMAN_RETURN_IF_ERROR(Append(prefix + part + ".bias", &out->bias));
    }
    return absl::OkStatus();
  }

 private:
  const ModelPackage& package_;
  const WeightType type_;
};

absl::Status ReadLayer(const Reader& reader, const ModelConfig& config, int64_t index,
                       NativeLayer* layer) {
  const std::string prefix = absl::StrCat("model.layers.", index, ".");
  const std::string attention = prefix + "self_attn.", mlp = prefix + "mlp.";
  const bool fused = config.fused_projections;
  using Parts = std::vector<std::string>;
  const Parts qkv = fused ? Parts{"qkv_proj"} : Parts{"q_proj", "k_proj", "v_proj"};
  const Parts gate_up = fused ? Parts{"gate_up_proj"} : Parts{"gate_proj", "up_proj"};
  DRAGOMAN_RETURN_IF_ERROR(
      reader.Append(prefix + "input_layernorm.weight", &layer->attention_norm));
  DRAGOMAN_RETURN_IF_ERROR(
      reader.Append(prefix + "post_attention_layernorm.weight", &layer->ffn_norm));
  DRAGOMAN_RETURN_IF_ERROR(
      reader.Linear(attention, qkv, config.hidden_size, config.qkv_bias, &layer->qkv));
  if (config.qk_norm) {
    DRAGOMAN_RETURN_IF_ERROR(reader.Append(attention + "q_norm.weight", &layer->q_norm));
    DRAGOMAN_RETURN_IF_ERROR(reader.Append(attention + "k_norm.weight", &layer->k_norm));
  }
  DRAGOMAN_RETURN_IF_ERROR(reader.Linear(attention, {"o_proj"}, config.num_heads * config.head_dim,
                                         config.o_bias, &layer->output));
  DRAGOMAN_RETURN_IF_ERROR(
      reader.Linear(mlp, gate_up, config.hidden_size, config.mlp_bias, &layer->gate_up));
  return reader.Linear(mlp, {"down_proj"}, config.ffn_size, config.mlp_bias, &layer->down);
}

absl::StatusOr<bool> AllMatricesAreBfloat16(const ModelPackage& package) {
  for (const std::string& name : package.TensorNames()) {
    DRAGOMAN_ASSIGN_OR_RETURN(const TensorView view, package.Tensor(name));
    if (view.shape.size() == 2 && view.dtype != DType::kBF16) return false;
  }
  return true;
}

}  // namespace

int64_t NativeWeights::matrix_bytes() const {
  int64_t total = head.bytes();
  for (const NativeLayer& layer : layers) {
    for (const NativeLinear* linear : {&layer.qkv, &layer.output, &layer.gate_up, &layer.down}) {
      total += linear->weight.bytes();
    }
  }
  return total;
}

absl::StatusOr<NativeWeights> LoadNativeWeights(const ModelPackage& package,
                                                std::optional<WeightType> type) {
  const ModelConfig& config = package.config();
  if (!type.has_value()) {
    DRAGOMAN_ASSIGN_OR_RETURN(const bool bfloat16, AllMatricesAreBfloat16(package));
    type = bfloat16 ? WeightType::kBfloat16 : WeightType::kFloat32;
  }
  const Reader reader(package, *type);
  NativeWeights weights;
  weights.type = *type;
  DRAGOMAN_RETURN_IF_ERROR(reader.Append("model.embed_tokens.weight", &weights.embedding));
  DRAGOMAN_RETURN_IF_ERROR(reader.Append("model.norm.weight", &weights.final_norm));
  const char* head = config.tie_word_embeddings ? "model.embed_tokens" : "lm_head";
  DRAGOMAN_RETURN_IF_ERROR(reader.Matrix("", {head}, config.hidden_size, &weights.head));
  weights.layers.resize(static_cast<size_t>(config.num_layers));
  for (int64_t i = 0; i < config.num_layers; ++i) {
    DRAGOMAN_RETURN_IF_ERROR(ReadLayer(reader, config, i, &weights.layers[i]));
  }
  return weights;
}

NativeWeights RandomNativeWeights(const ModelConfig& config, WeightType type, uint64_t seed) {
  uint64_t id = 0;
  // Uniform with the deviation that keeps a product at the size of its input.
  const auto draw = [&](int64_t outputs, int64_t inputs) {
    RandomStream random(seed, "weights", 0, ++id);
    const double range = std::sqrt(12.0 / static_cast<double>(inputs));
    std::vector<float> values(static_cast<size_t>(outputs * inputs));
    for (float& value : values) value = static_cast<float>(range * (random.NextUnit() - 0.5));
    return values;
  };
  const auto matrix = [&](int64_t outputs, int64_t inputs) {
    return PackedMatrix::Pack(draw(outputs, inputs).data(), outputs, inputs, type);
  };
  const auto hidden = static_cast<size_t>(config.hidden_size);
  NativeWeights weights;
  weights.type = type;
  weights.embedding = draw(config.vocab_size, config.hidden_size);
  weights.head = PackedMatrix::Pack(weights.embedding.data(), config.vocab_size,
                                    config.hidden_size, type);
  weights.final_norm.assign(hidden, 1.0f);
  const int64_t attended = config.num_heads * config.head_dim;
  for (int64_t i = 0; i < config.num_layers; ++i) {
    NativeLayer& layer = weights.layers.emplace_back();
    layer.attention_norm.assign(hidden, 1.0f);
    layer.ffn_norm.assign(hidden, 1.0f);
    layer.qkv.weight =
        matrix(attended + 2 * config.num_kv_heads * config.head_dim, config.hidden_size);
    layer.output.weight = matrix(config.hidden_size, attended);
    layer.gate_up.weight = matrix(2 * config.ffn_size, config.hidden_size);
    layer.down.weight = matrix(config.hidden_size, config.ffn_size);
  }
  return weights;
}

}  // namespace dragoman::model
