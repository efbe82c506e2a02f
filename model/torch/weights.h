// Weights of a LLaMA-family transformer as torch tensors, fused for fewer matrix products, and the
// way to and from Hugging Face names. Thread-compatible.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "model/api/model_config.h"
#include "model/package/model_package.h"
#include "torch/types.h"

namespace dragoman::model {

// Low-rank adapter (LoRA, Hu et al. 2021) on output rows [row_begin, row_end) of a fused matrix.
struct Adapter {
  int64_t row_begin = 0;
  int64_t row_end = 0;
  torch::Tensor a;  // [rank, in]
  torch::Tensor b;  // [row_end - row_begin, rank]
};

struct Linear {
  torch::Tensor weight;  // [out, in]
  torch::Tensor bias;    // [out] or undefined
  std::vector<Adapter> adapters;
  double adapter_scale = 0;  // alpha / rank
};

struct LayerWeights {
  torch::Tensor attention_norm;  // [hidden]
  Linear qkv;                    // [(heads + 2 kv_heads) * head_dim, hidden], q then k then v
  torch::Tensor q_norm, k_norm;  // [head_dim] or undefined
  Linear output;                 // [hidden, heads * head_dim]
  torch::Tensor ffn_norm;        // [hidden]
  Linear gate_up;                // [2 ffn, hidden], gate then up
  Linear down;                   // [hidden, ffn]
};

struct TransformerWeights {
  torch::Tensor embedding;   // [vocab, hidden]
  torch::Tensor head;        // [vocab, hidden]; the embedding itself when tied
  torch::Tensor final_norm;  // [hidden]
  std::vector<LayerWeights> layers;
};

// A parameter with a stable name ("layers.3.qkv.weight", "layers.3.qkv.lora_a.0"), for optimizers
// and checkpoints. The tied head is not listed twice.
using NamedParameter = std::pair<std::string, torch::Tensor>;
std::vector<NamedParameter> ListParameters(const TransformerWeights& weights);

// Reads and fuses the tensors of a package. Errors: those of ModelPackage::Tensor().
absl::StatusOr<TransformerWeights> LoadWeights(const ModelPackage& package, torch::Dtype dtype,
                                               const torch::Device& device);

// The same weights on another device; a tied head stays tied.
TransformerWeights MoveWeights(const TransformerWeights& weights, const torch::Device& device);

// Fresh fp32 weights for training from scratch: N(0, 0.02), residual outputs scaled by
// 1/sqrt(2 layers), embeddings N(0, 1/sqrt(hidden)), norms 1. Same seed, same bytes.
TransformerWeights InitWeights(const ModelConfig& config, uint64_t seed);

// Adds adapters of rank `rank` to q, k, v, o, gate, up and down of every layer. B is zero, so the
// function does not change until it is trained.
void AddAdapters(const ModelConfig& config, int64_t rank, double alpha, uint64_t seed,
                 TransformerWeights* weights);
// W' = W + scale * B A in fp32; adapters are removed.
void MergeAdapters(TransformerWeights* weights);

// Splits into Hugging Face tensors (fused again for Phi-3), contiguous fp32 on the CPU.
std::vector<std::pair<std::string, torch::Tensor>> ExportHuggingFace(
    const ModelConfig& config, const TransformerWeights& weights);

}  // namespace dragoman::model
