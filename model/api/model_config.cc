#include "model/api/model_config.h"

#include <algorithm>
#include <cmath>

namespace dragoman::model {
namespace {

// "llama3" scaling of Llama 3.1: long wavelengths are divided by `factor`, short ones kept, a
// smooth ramp between.
double Llama3Scale(double inverse, const RopeScaling& scaling) {
  const double wavelength = 2.0 * M_PI / inverse;
  const double original = static_cast<double>(scaling.original_max_positions);
  if (wavelength > original / scaling.low_freq_factor) return inverse / scaling.factor;
  if (wavelength < original / scaling.high_freq_factor) return inverse;
  const double smooth = (original / wavelength - scaling.low_freq_factor) /
                        (scaling.high_freq_factor - scaling.low_freq_factor);
  return (1.0 - smooth) * inverse / scaling.factor + smooth * inverse;
}

// YaRN (Peng et al. 2023): pair index at which `rotations` full turns fit the original length.
double YarnPairIndex(double rotations, const ModelConfig& config) {
  const double dim = static_cast<double>(config.head_dim);
  const double original = static_cast<double>(config.rope_scaling.original_max_positions);
  return dim * std::log(original / (rotations * 2.0 * M_PI)) / (2.0 * std::log(config.rope_theta));
}

}  // namespace

const char* ArchitectureName(Architecture architecture) {
  switch (architecture) {
    case Architecture::kLlama:
      return "LlamaForCausalLM";
    case Architecture::kQwen2:
      return "Qwen2ForCausalLM";
    case Architecture::kQwen3:
      return "Qwen3ForCausalLM";
    case Architecture::kPhi3:
      return "Phi3ForCausalLM";
  }
  return "?";
}

int64_t ModelConfig::ParameterCount() const {
  const int64_t q = hidden_size * num_heads * head_dim;
  const int64_t kv = hidden_size * num_kv_heads * head_dim;
  int64_t attention = 2 * q + 2 * kv + hidden_size;
  if (qkv_bias) attention += (num_heads + 2 * num_kv_heads) * head_dim;
  if (o_bias) attention += hidden_size;
  if (qk_norm) attention += 2 * head_dim;
  int64_t mlp = 3 * hidden_size * ffn_size + hidden_size;
  if (mlp_bias) mlp += 2 * ffn_size + hidden_size;
  const int64_t embeddings = vocab_size * hidden_size * (tie_word_embeddings ? 1 : 2);
  int64_t count = embeddings + hidden_size;
  for (int64_t layer = 0; layer < num_layers; ++layer) {
    if (modules_of(layer).attention) count += attention;
    if (modules_of(layer).mlp) count += mlp;
  }
  return count;
}

int64_t ModelConfig::attention_layers() const {
  if (layers.empty()) return num_layers;
  return std::count_if(layers.begin(), layers.end(),
                       [](const LayerModules& modules) { return modules.attention; });
}

RopeFrequencies ComputeRopeFrequencies(const ModelConfig& config) {
  const int64_t pairs = config.head_dim / 2;
  const RopeScaling& scaling = config.rope_scaling;
  RopeFrequencies result;
  result.inverse.resize(pairs);
  double low = 0, high = 0;
  if (scaling.kind == RopeScaling::Kind::kYarn) {
    low = std::max(std::floor(YarnPairIndex(scaling.beta_fast, config)), 0.0);
    high = std::min(std::ceil(YarnPairIndex(scaling.beta_slow, config)),
                    static_cast<double>(config.head_dim - 1));
    if (low == high) high += 0.001;
  }
  for (int64_t i = 0; i < pairs; ++i) {
    double inverse = std::pow(config.rope_theta,
                              -2.0 * static_cast<double>(i) / static_cast<double>(config.head_dim));
    switch (scaling.kind) {
      case RopeScaling::Kind::kNone:
        break;
      case RopeScaling::Kind::kLinear:
        inverse /= scaling.factor;
        break;
      case RopeScaling::Kind::kLlama3:
        inverse = Llama3Scale(inverse, scaling);
        break;
      case RopeScaling::Kind::kYarn: {
        const double ramp = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
        inverse = inverse / scaling.factor * ramp + inverse * (1.0 - ramp);
        break;
      }
      case RopeScaling::Kind::kLongRope:
        inverse /= scaling.dimension_factors[i];
        break;
    }
    result.inverse[i] = inverse;
  }
  if (scaling.kind == RopeScaling::Kind::kYarn || scaling.kind == RopeScaling::Kind::kLongRope) {
    result.amplitude = scaling.attention_factor;
  }
  return result;
}

}  // namespace dragoman::model
