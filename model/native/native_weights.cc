#include "model/native/native_weights.h"

#include <cmath>
#include <cstring>
#include <span>
#include <string>
#include <utility>

#include "base/random.h"
#include "base/status_macros.h"
#include "model/native/packed_file.h"

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
  explicit Reader(const ModelPackage& package) : package_(package) {}

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
  absl::Status AppendAll(const std::string& prefix, const std::vector<std::string>& parts,
                         const char* suffix, std::vector<float>* out) const {
    for (const std::string& part : parts) {
      DRAGOMAN_RETURN_IF_ERROR(Append(prefix + part + suffix, out));
    }
    return absl::OkStatus();
  }

 private:
  const ModelPackage& package_;
};

// One matrix of a model: where it belongs, its shape, and the tensors that it is made of.
struct MatrixSlot {
  PackedMatrix* matrix = nullptr;
  int64_t outputs = 0, inputs = 0;
  std::string prefix;
  std::vector<std::string> parts;
  std::vector<float>* bias = nullptr;  // null: none
  WeightType type = WeightType::kFloat32;
};

// The head of a 4-bit model has 8 bits: its errors go straight into the logits.
WeightType HeadType(WeightType type) {
  return type == WeightType::kInt4 ? WeightType::kInt8 : type;
}

// All matrices in the order in which a step reads them. `weights` has its layers.
std::vector<MatrixSlot> Slots(const ModelConfig& config, WeightType type, NativeWeights* weights) {
  using Parts = std::vector<std::string>;
  const bool fused = config.fused_projections;
  const Parts qkv = fused ? Parts{"qkv_proj"} : Parts{"q_proj", "k_proj", "v_proj"};
  const Parts gate_up = fused ? Parts{"gate_up_proj"} : Parts{"gate_proj", "up_proj"};
  const int64_t hidden = config.hidden_size, attended = config.num_heads * config.head_dim;
  std::vector<MatrixSlot> slots;
  const auto add = [&slots, type](NativeLinear* linear, int64_t outputs, int64_t inputs,
                                  std::string prefix, Parts parts, bool bias) {
    slots.push_back({&linear->weight, outputs, inputs, std::move(prefix), std::move(parts),
                     bias ? &linear->bias : nullptr, type});
  };
  for (int64_t i = 0; i < config.num_layers; ++i) {
    NativeLayer& layer = weights->layers[i];
    const std::string prefix = absl::StrCat("model.layers.", i, ".");
    const std::string attention = prefix + "self_attn.", mlp = prefix + "mlp.";
    if (config.modules_of(i).attention) {
      add(&layer.qkv, attended + 2 * config.num_kv_heads * config.head_dim, hidden, attention, qkv,
          config.qkv_bias);
      add(&layer.output, hidden, attended, attention, {"o_proj"}, config.o_bias);
    }
    if (config.modules_of(i).mlp) {
      add(&layer.gate_up, 2 * config.ffn_size, hidden, mlp, gate_up, config.mlp_bias);
      add(&layer.down, hidden, config.ffn_size, mlp, {"down_proj"}, config.mlp_bias);
    }
  }
  const char* head = config.tie_word_embeddings ? "model.embed_tokens" : "lm_head";
  slots.push_back({&weights->head, config.vocab_size, hidden, "", {head}, nullptr, HeadType(type)});
  return slots;
}

// Memory for all matrices behind a header, and every matrix in its place there.
absl::StatusOr<std::vector<MatrixSlot>> PlaceMatrices(const ModelConfig& config, WeightType type,
                                                      NativeWeights* weights) {
  weights->type = type;
  weights->layers.resize(static_cast<size_t>(config.num_layers));
  std::vector<MatrixSlot> slots = Slots(config, type, weights);
  size_t bytes = kPackedHeaderBytes;
  std::vector<size_t> begins;
  for (const MatrixSlot& slot : slots) {
    begins.push_back(bytes);
    const int64_t size = PackedMatrix::View(nullptr, slot.outputs, slot.inputs, slot.type).bytes();
    bytes += (static_cast<size_t>(size) + 63) / 64 * 64;
  }
  weights->memory = LargeMemory::Map(bytes);
  if (weights->memory.data() == nullptr) {
    return absl::ResourceExhaustedError(absl::StrCat("no memory for ", bytes, " bytes of weights"));
  }
  for (size_t i = 0; i < slots.size(); ++i) {
    *slots[i].matrix = PackedMatrix::View(weights->memory.data() + begins[i], slots[i].outputs,
                                          slots[i].inputs, slots[i].type);
  }
  return slots;
}

void PackSlot(const MatrixSlot& slot, const std::vector<float>& values) {
  PackedMatrix& matrix = *slot.matrix;
  matrix = PackedMatrix::PackInto(values.data(), slot.outputs, slot.inputs, matrix.type(),
                                  const_cast<void*>(matrix.data()));
}

absl::Status ReadNorms(const Reader& reader, const ModelConfig& config, int64_t index,
                       NativeLayer* layer) {
  const std::string prefix = absl::StrCat("model.layers.", index, ".");
  const LayerModules modules = config.modules_of(index);
  if (modules.mlp) {
    DRAGOMAN_RETURN_IF_ERROR(
        reader.Append(prefix + "post_attention_layernorm.weight", &layer->ffn_norm));
  }
  if (!modules.attention) return absl::OkStatus();
  DRAGOMAN_RETURN_IF_ERROR(
      reader.Append(prefix + "input_layernorm.weight", &layer->attention_norm));
  if (!config.qk_norm) return absl::OkStatus();
  DRAGOMAN_RETURN_IF_ERROR(reader.Append(prefix + "self_attn.q_norm.weight", &layer->q_norm));
  return reader.Append(prefix + "self_attn.k_norm.weight", &layer->k_norm);
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
                                                std::optional<WeightType> type,
                                                bool write_packed_file) {
  const ModelConfig& config = package.config();
  if (!type.has_value()) {
    DRAGOMAN_ASSIGN_OR_RETURN(const bool bfloat16, AllMatricesAreBfloat16(package));
    type = bfloat16 ? WeightType::kBfloat16 : WeightType::kFloat32;
  }
  const Reader reader(package);
  NativeWeights weights;
  DRAGOMAN_ASSIGN_OR_RETURN(const std::vector<MatrixSlot> slots,
                            PlaceMatrices(config, *type, &weights));
  DRAGOMAN_RETURN_IF_ERROR(reader.Append("model.embed_tokens.weight", &weights.embedding));
  DRAGOMAN_RETURN_IF_ERROR(reader.Append("model.norm.weight", &weights.final_norm));
  for (int64_t i = 0; i < config.num_layers; ++i) {
    DRAGOMAN_RETURN_IF_ERROR(ReadNorms(reader, config, i, &weights.layers[i]));
  }
  for (const MatrixSlot& slot : slots) {
    if (slot.bias == nullptr) continue;
    DRAGOMAN_RETURN_IF_ERROR(reader.AppendAll(slot.prefix, slot.parts, ".bias", slot.bias));
  }

  const PackedFileKey key{package.folder(), package.weights_digest(), *type};
  const std::span<std::byte> image(weights.memory.data(), weights.memory.size());
  if (IsQuantized(*type) && ReadPackedFile(key, image).ok()) return weights;
  for (const MatrixSlot& slot : slots) {
    std::vector<float> values;
    DRAGOMAN_RETURN_IF_ERROR(reader.AppendAll(slot.prefix, slot.parts, ".weight", &values));
    PackSlot(slot, values);
  }
  // A folder that cannot be written to, or a full disk, costs the next start some time.
  if (IsQuantized(*type) && write_packed_file) WritePackedFile(key, image).IgnoreError();
  return weights;
}

absl::StatusOr<NativeWeights> RandomNativeWeights(const ModelConfig& config, WeightType type,
                                                  uint64_t seed) {
  NativeWeights weights;
  DRAGOMAN_ASSIGN_OR_RETURN(const std::vector<MatrixSlot> slots,
                            PlaceMatrices(config, type, &weights));
  uint64_t id = 0;
  for (const MatrixSlot& slot : slots) {
    // Uniform with the deviation that keeps a product at the size of its input.
    RandomStream random(seed, "weights", 0, ++id);
    const double range = std::sqrt(12.0 / static_cast<double>(slot.inputs));
    std::vector<float> values(static_cast<size_t>(slot.outputs * slot.inputs));
    for (float& value : values) value = static_cast<float>(range * (random.NextUnit() - 0.5));
    PackSlot(slot, values);
    if (slot.matrix == &weights.head) weights.embedding = std::move(values);
  }
  const auto hidden = static_cast<size_t>(config.hidden_size);
  weights.final_norm.assign(hidden, 1.0f);
  for (NativeLayer& layer : weights.layers) {
    layer.attention_norm.assign(hidden, 1.0f);
    layer.ffn_norm.assign(hidden, 1.0f);
  }
  return weights;
}

}  // namespace dragoman::model
