#include "model/package/config_json.h"

#include <cmath>
#include <utility>

#include "base/json.h"
#include "base/status_macros.h"
#include "model/package/package_json.h"
#include "model/package/rope_json.h"

namespace dragoman::model {
namespace {

constexpr char kWhere[] = "config.json";

// Upper bounds keep every later product inside int64 and every table small; the largest open models
// stay far below them.
constexpr int64_t kMaxVocab = int64_t{1} << 24;
constexpr int64_t kMaxHidden = int64_t{1} << 16;
constexpr int64_t kMaxFfn = int64_t{1} << 20;
constexpr int64_t kMaxLayers = 1024;
constexpr int64_t kMaxHeads = 1024;
constexpr int64_t kMaxHeadDim = 4096;
constexpr int64_t kMaxPositions = int64_t{1} << 22;
constexpr int64_t kQwen3HeadDim = 128;  // default of the Hugging Face configuration class

absl::Status Impossible(const std::string& message) {
  return absl::FailedPreconditionError(absl::StrCat(kWhere, ": ", message));
}
absl::Status NotBuiltIn(const std::string& message) {
  return absl::UnimplementedError(absl::StrCat(kWhere, ": ", message));
}

// Absent and null mean the same in config.json.
const Json* FindField(const Json& config, const char* field) {
  const auto it = config.find(field);
  return it == config.end() || it->is_null() ? nullptr : &*it;
}

// The typed getters of base call a wrong value InvalidArgument; in a package it is the package that
// is wrong.
template <typename T>
absl::StatusOr<T> AsPackageFault(absl::StatusOr<T> value) {
  if (value.ok()) return value;
  return absl::FailedPreconditionError(std::string(value.status().message()));
}

absl::StatusOr<int64_t> Size(const Json& config, const char* field, int64_t max,
                             std::optional<int64_t> fallback = {}) {
  if (fallback.has_value() && FindField(config, field) == nullptr) return *fallback;
  return AsPackageFault(GetInt(config, field, kWhere, 1, max));
}

absl::StatusOr<double> Positive(const Json& config, const char* field, double fallback) {
  if (FindField(config, field) == nullptr) return fallback;
  DRAGOMAN_ASSIGN_OR_RETURN(const double value, AsPackageFault(GetDouble(config, field, kWhere)));
  if (!std::isfinite(value) || value <= 0) {
    return Impossible(absl::StrCat("field \"", field, "\" is ", value, ", must be positive"));
  }
  return value;
}

absl::StatusOr<bool> Flag(const Json& config, const char* field) {
  if (FindField(config, field) == nullptr) return false;
  return AsPackageFault(GetBool(config, field, kWhere));
}

struct ArchitectureFacts {
  Architecture architecture;
  const char* model_type;
  double rms_norm_eps;  // default of the Hugging Face configuration class
};
constexpr ArchitectureFacts kArchitectures[] = {{Architecture::kLlama, "llama", 1e-6},
                                                {Architecture::kQwen2, "qwen2", 1e-6},
                                                {Architecture::kQwen3, "qwen3", 1e-6},
                                                {Architecture::kPhi3, "phi3", 1e-5}};

absl::StatusOr<ArchitectureFacts> ReadArchitecture(const Json& config) {
  const char* const known =
      "known are LlamaForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM, Phi3ForCausalLM";
  const Json* list = FindField(config, "architectures");
  if (list == nullptr || !list->is_array() || list->empty() || !list->at(0).is_string()) {
    return NotBuiltIn(absl::StrCat("field \"architectures\" names no architecture; ", known));
  }
  const std::string name = list->at(0).get<std::string>();
  for (const ArchitectureFacts& facts : kArchitectures) {
    if (name != ArchitectureName(facts.architecture)) continue;
    const Json* type = FindField(config, "model_type");
    if (type != nullptr && *type != facts.model_type) {
      return Impossible(absl::StrCat("architecture ", name, " contradicts model_type ",
                                     DumpJson(*type).substr(0, 40)));
    }
    return facts;
  }
  return NotBuiltIn(
      absl::StrCat("architecture ", DumpJson(list->at(0)).substr(0, 80), "; ", known));
}

absl::Status ReadSizes(const Json& json, ModelConfig* config) {
  const bool is_qwen =
      config->architecture == Architecture::kQwen2 || config->architecture == Architecture::kQwen3;
  DRAGOMAN_ASSIGN_OR_RETURN(config->vocab_size, Size(json, "vocab_size", kMaxVocab));
  DRAGOMAN_ASSIGN_OR_RETURN(config->hidden_size, Size(json, "hidden_size", kMaxHidden));
  DRAGOMAN_ASSIGN_OR_RETURN(config->ffn_size, Size(json, "intermediate_size", kMaxFfn));
  DRAGOMAN_ASSIGN_OR_RETURN(config->num_layers, Size(json, "num_hidden_layers", kMaxLayers));
  DRAGOMAN_ASSIGN_OR_RETURN(config->num_heads, Size(json, "num_attention_heads", kMaxHeads));
  // The Qwen classes have a default of 32 here, which is never what a file that lacks it means.
  DRAGOMAN_ASSIGN_OR_RETURN(
      config->num_kv_heads,
      Size(json, "num_key_value_heads", kMaxHeads,
           is_qwen ? std::optional<int64_t>() : std::optional<int64_t>(config->num_heads)));
  DRAGOMAN_ASSIGN_OR_RETURN(config->max_positions,
                            Size(json, "max_position_embeddings", kMaxPositions));
  if (config->num_heads % config->num_kv_heads != 0) {
    return Impossible(absl::StrCat(config->num_heads, " attention heads are no multiple of ",
                                   config->num_kv_heads, " key-value heads"));
  }
  if (FindField(json, "head_dim") != nullptr) {
    DRAGOMAN_ASSIGN_OR_RETURN(config->head_dim, Size(json, "head_dim", kMaxHeadDim));
  } else if (config->architecture == Architecture::kQwen3) {
    config->head_dim = kQwen3HeadDim;
  } else if (config->hidden_size % config->num_heads != 0) {
    return Impossible(absl::StrCat("hidden_size ", config->hidden_size, " is no multiple of ",
                                   config->num_heads, " attention heads"));
  } else {
    config->head_dim = config->hidden_size / config->num_heads;
  }
  if (config->head_dim % 2 != 0) {
    return Impossible(
        absl::StrCat("head size ", config->head_dim, " is odd, rotation needs an even one"));
  }
  return absl::OkStatus();
}

absl::Status ReadBiases(const Json& json, ModelConfig* config) {
  DRAGOMAN_ASSIGN_OR_RETURN(const bool attention_bias, Flag(json, "attention_bias"));
  DRAGOMAN_ASSIGN_OR_RETURN(const bool mlp_bias, Flag(json, "mlp_bias"));
  switch (config->architecture) {
    case Architecture::kLlama:
      config->qkv_bias = config->o_bias = attention_bias;
      config->mlp_bias = mlp_bias;
      return absl::OkStatus();
    case Architecture::kQwen2:  // the class has fixed biases and no such field
      config->qkv_bias = true;
      break;
    case Architecture::kQwen3:
      config->qkv_bias = config->o_bias = attention_bias;
      config->qk_norm = true;
      break;
    case Architecture::kPhi3:
      config->fused_projections = true;
      if (attention_bias) return NotBuiltIn("attention_bias of Phi3ForCausalLM");
      break;
  }
  if (mlp_bias) {
    return NotBuiltIn(absl::StrCat("mlp_bias of ", ArchitectureName(config->architecture)));
  }
  return absl::OkStatus();
}

// What would change the forward pass in ways that no backbone has.
absl::Status CheckBuiltIn(const Json& json, int64_t max_positions) {
  if (FindField(json, "quantization_config") != nullptr) {
    return NotBuiltIn("quantization_config: quantised weights are not supported");
  }
  if (const Json* activation = FindField(json, "hidden_act"); activation != nullptr) {
    if (!activation->is_string()) return Impossible("field \"hidden_act\" must be a string");
    if (*activation != "silu" && *activation != "swish") {
      return NotBuiltIn(
          absl::StrCat("activation ", DumpJson(*activation).substr(0, 40), "; known is silu"));
    }
  }
  if (FindField(json, "partial_rotary_factor") != nullptr) {
    DRAGOMAN_ASSIGN_OR_RETURN(const double part, Positive(json, "partial_rotary_factor", 1.0));
    if (part != 1.0) return NotBuiltIn(absl::StrCat("partial_rotary_factor ", part));
  }
  bool window_is_used = FindField(json, "sliding_window") != nullptr;
  if (FindField(json, "use_sliding_window") != nullptr) {
    DRAGOMAN_ASSIGN_OR_RETURN(const bool use, Flag(json, "use_sliding_window"));
    window_is_used = window_is_used && use;
  }
  if (window_is_used) {
    DRAGOMAN_ASSIGN_OR_RETURN(const int64_t window, Size(json, "sliding_window", INT64_MAX));
    if (window < max_positions) {
      return NotBuiltIn(
          absl::StrCat("sliding_window ", window, " below the position limit ", max_positions));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckTokenIds(const Json& json, int64_t vocab_size) {
  for (const char* field : {"bos_token_id", "eos_token_id"}) {
    const Json* value = FindField(json, field);
    if (value == nullptr) continue;
    Json list = value->is_array() ? *value : Json::array({*value});
    for (const Json& id : list) {
      const Json object = {{field, id}};
      DRAGOMAN_RETURN_IF_ERROR(
          AsPackageFault(GetInt(object, field, kWhere, 0, vocab_size - 1)).status());
    }
  }
  return absl::OkStatus();
}

absl::Status CheckDTypeName(const Json& json) {
  for (const char* field : {"torch_dtype", "dtype"}) {
    const Json* value = FindField(json, field);
    if (value == nullptr) continue;
    if (*value != "float32" && *value != "float16" && *value != "bfloat16") {
      return Impossible(absl::StrCat("field \"", field, "\" is ", DumpJson(*value).substr(0, 40),
                                     ", known are float32, float16, bfloat16"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ModelConfig> ParseConfigJson(std::string_view text,
                                            std::optional<int64_t> position_limit) {
  const absl::StatusOr<Json> parsed =
      ParsePackageJson(text, {.max_bytes = size_t{4} << 20, .max_depth = 32});
  if (!parsed.ok()) return AddContext(parsed.status(), kWhere);
  const Json& json = *parsed;
  if (!json.is_object()) return absl::DataLossError(absl::StrCat(kWhere, ": is not an object"));

  ModelConfig config;
  DRAGOMAN_ASSIGN_OR_RETURN(const ArchitectureFacts facts, ReadArchitecture(json));
  config.architecture = facts.architecture;
  DRAGOMAN_RETURN_IF_ERROR(ReadSizes(json, &config));
  const int64_t trained_positions = config.max_positions;
  if (position_limit.has_value()) {
    if (*position_limit < 1 || *position_limit > trained_positions) {
      return Impossible(absl::StrCat("position limit ", *position_limit,
                                     " of the manifest, allowed 1 to ", trained_positions));
    }
    config.max_positions = *position_limit;
  }
  DRAGOMAN_RETURN_IF_ERROR(CheckBuiltIn(json, config.max_positions));
  DRAGOMAN_RETURN_IF_ERROR(ReadBiases(json, &config));
  DRAGOMAN_ASSIGN_OR_RETURN(config.rms_norm_eps,
                            Positive(json, "rms_norm_eps", facts.rms_norm_eps));
  DRAGOMAN_ASSIGN_OR_RETURN(config.rope_theta, Positive(json, "rope_theta", 10000.0));
  DRAGOMAN_ASSIGN_OR_RETURN(config.tie_word_embeddings, Flag(json, "tie_word_embeddings"));
  DRAGOMAN_RETURN_IF_ERROR(CheckTokenIds(json, config.vocab_size));
  DRAGOMAN_RETURN_IF_ERROR(CheckDTypeName(json));
  DRAGOMAN_RETURN_IF_ERROR(ReadRope(json, trained_positions, &config));
  return config;
}

std::string FormatConfigJson(const ModelConfig& config, TokenId end_of_text,
                             const std::string& dtype_name) {
  Json json = Json::object();
  json["architectures"] = Json::array({ArchitectureName(config.architecture)});
  for (const ArchitectureFacts& facts : kArchitectures) {
    if (facts.architecture == config.architecture) json["model_type"] = facts.model_type;
  }
  json["attention_bias"] = config.architecture != Architecture::kQwen2 && config.qkv_bias;
  json["bos_token_id"] = nullptr;
  json["eos_token_id"] = end_of_text;
  json["head_dim"] = config.head_dim;
  json["hidden_act"] = "silu";
  json["hidden_size"] = config.hidden_size;
  json["intermediate_size"] = config.ffn_size;
  json["max_position_embeddings"] = config.max_positions;
  json["mlp_bias"] = config.mlp_bias;
  json["num_attention_heads"] = config.num_heads;
  json["num_hidden_layers"] = config.num_layers;
  json["num_key_value_heads"] = config.num_kv_heads;
  json["rms_norm_eps"] = config.rms_norm_eps;
  json["rope_theta"] = config.rope_theta;
  WriteRope(config, &json);
  json["tie_word_embeddings"] = config.tie_word_embeddings;
  json["torch_dtype"] = dtype_name;
  json["vocab_size"] = config.vocab_size;
  return DumpJson(json, 2) + "\n";
}

absl::Status CheckVocabularySize(size_t tokenizer_entries, const ModelConfig& config) {
  if (tokenizer_entries <= static_cast<uint64_t>(config.vocab_size)) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat("tokenizer has ", tokenizer_entries,
                                                    " entries, the embedding has ",
                                                    config.vocab_size, " rows"));
}

}  // namespace dragoman::model
