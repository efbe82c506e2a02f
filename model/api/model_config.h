// What a decoder-only transformer is, independent of files and of the backend that runs it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace dragoman::model {

using TokenId = int32_t;

enum class Architecture { kLlama, kQwen2, kQwen3, kPhi3 };

// "LlamaForCausalLM" and so on, as in config.json.
const char* ArchitectureName(Architecture architecture);

// Rotary position scaling, fixed at load. Length-dependent kinds (dynamic NTK) are refused by the
// config reader; longrope is fixed to one factor set.
struct RopeScaling {
  enum class Kind { kNone, kLinear, kLlama3, kYarn, kLongRope };
  Kind kind = Kind::kNone;
  double factor = 1.0;
  double low_freq_factor = 1.0;           // llama3
  double high_freq_factor = 4.0;          // llama3
  int64_t original_max_positions = 0;     // llama3, yarn, longrope
  double beta_fast = 32.0;                // yarn
  double beta_slow = 1.0;                 // yarn
  double attention_factor = 1.0;          // yarn, longrope: multiplies cos and sin
  std::vector<double> dimension_factors;  // longrope: one per rotated pair, head_dim / 2
};

// The modules that a layer has. A static export drops those that are never run.
struct LayerModules {
  bool attention = true;  // without it also no keys and values, and no place in the cache
  bool mlp = true;

  bool operator==(const LayerModules&) const = default;
};

// All sizes are counts of elements. Values are checked by package/config_json.
struct ModelConfig {
  Architecture architecture = Architecture::kLlama;
  int64_t vocab_size = 0;
  int64_t hidden_size = 0;
  int64_t num_layers = 0;
  int64_t num_heads = 0;
  int64_t num_kv_heads = 0;
  int64_t head_dim = 0;
  int64_t ffn_size = 0;
  int64_t max_positions = 0;  // C: trained position limit, each side alone
  double rms_norm_eps = 1e-6;
  double rope_theta = 10000.0;
  RopeScaling rope_scaling;
  bool tie_word_embeddings = false;
  bool qkv_bias = false;  // Qwen2
  bool o_bias = false;
  bool mlp_bias = false;
  bool qk_norm = false;              // Qwen3: RMSNorm over head_dim on q and k before RoPE
  bool fused_projections = false;    // Phi-3: qkv_proj and gate_up_proj tensors
  std::vector<LayerModules> layers;  // [num_layers]; empty: every layer has both modules

  LayerModules modules_of(int64_t layer) const {
    return layers.empty() ? LayerModules() : layers[static_cast<size_t>(layer)];
  }
  int64_t attention_layers() const;

  // Number of weights, embeddings counted once when tied.
  int64_t ParameterCount() const;
};

// Inverse frequencies of rotary embedding, fp64, [head_dim / 2], with static scaling applied, and
// the factor that multiplies cos and sin (1 unless yarn or longrope).
struct RopeFrequencies {
  std::vector<double> inverse;
  double amplitude = 1.0;
};
RopeFrequencies ComputeRopeFrequencies(const ModelConfig& config);

}  // namespace dragoman::model
