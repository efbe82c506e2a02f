#include "model/package/architecture_tensors.h"

#include "absl/strings/str_cat.h"

namespace dragoman::model {

std::vector<ExpectedTensor> ExpectedTensors(const ModelConfig& config) {
  const int64_t hidden = config.hidden_size;
  const int64_t q_rows = config.num_heads * config.head_dim;
  const int64_t kv_rows = config.num_kv_heads * config.head_dim;
  std::vector<ExpectedTensor> tensors;
  const auto projection = [&](const std::string& name, int64_t rows, int64_t columns, bool bias) {
    tensors.push_back({absl::StrCat(name, ".weight"), {rows, columns}});
    if (bias) tensors.push_back({absl::StrCat(name, ".bias"), {rows}});
  };
  tensors.push_back({"model.embed_tokens.weight", {config.vocab_size, hidden}});
  for (int64_t i = 0; i < config.num_layers; ++i) {
    const std::string layer = absl::StrCat("model.layers.", i, ".");
    const std::string attention = absl::StrCat(layer, "self_attn.");
    const std::string mlp = absl::StrCat(layer, "mlp.");
    if (config.modules_of(i).attention) {
      tensors.push_back({absl::StrCat(layer, "input_layernorm.weight"), {hidden}});
      if (config.fused_projections) {
        projection(absl::StrCat(attention, "qkv_proj"), q_rows + 2 * kv_rows, hidden,
                   config.qkv_bias);
      } else {
        projection(absl::StrCat(attention, "q_proj"), q_rows, hidden, config.qkv_bias);
        projection(absl::StrCat(attention, "k_proj"), kv_rows, hidden, config.qkv_bias);
        projection(absl::StrCat(attention, "v_proj"), kv_rows, hidden, config.qkv_bias);
      }
      if (config.qk_norm) {
        tensors.push_back({absl::StrCat(attention, "q_norm.weight"), {config.head_dim}});
        tensors.push_back({absl::StrCat(attention, "k_norm.weight"), {config.head_dim}});
      }
      projection(absl::StrCat(attention, "o_proj"), hidden, q_rows, config.o_bias);
    }
    if (config.modules_of(i).mlp) {
      tensors.push_back({absl::StrCat(layer, "post_attention_layernorm.weight"), {hidden}});
      if (config.fused_projections) {
        projection(absl::StrCat(mlp, "gate_up_proj"), 2 * config.ffn_size, hidden, config.mlp_bias);
      } else {
        projection(absl::StrCat(mlp, "gate_proj"), config.ffn_size, hidden, config.mlp_bias);
        projection(absl::StrCat(mlp, "up_proj"), config.ffn_size, hidden, config.mlp_bias);
      }
      projection(absl::StrCat(mlp, "down_proj"), hidden, config.ffn_size, config.mlp_bias);
    }
  }
  tensors.push_back({"model.norm.weight", {hidden}});
  if (!config.tie_word_embeddings)
    tensors.push_back({"lm_head.weight", {config.vocab_size, hidden}});
  return tensors;
}

}  // namespace dragoman::model
