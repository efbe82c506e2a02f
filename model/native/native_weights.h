// Weights of a package in the form in which the native backbone streams them: all matrices in one
// piece of memory, in the order of use. Immutable.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/status.h"
#include "model/kernels/packed_matrix.h"
#include "model/native/large_memory.h"
#include "model/package/model_package.h"

namespace dragoman::model {

struct NativeLinear {
  PackedMatrix weight;
  std::vector<float> bias;  // empty: none

  const float* bias_or_null() const { return bias.empty() ? nullptr : bias.data(); }
};

struct NativeLayer {
  std::vector<float> attention_norm, ffn_norm;  // [hidden]
  NativeLinear qkv;                             // [(heads + 2 kv_heads) head_dim, hidden]
  std::vector<float> q_norm, k_norm;            // [head_dim], empty: none
  NativeLinear output;                          // [hidden, heads head_dim]
  NativeLinear gate_up;                         // [2 ffn, hidden]: gate, then up
  NativeLinear down;                            // [hidden, ffn]
};

struct NativeWeights {
  std::vector<float> embedding;  // [vocab, hidden]
  std::vector<float> final_norm;
  PackedMatrix head;                       // [vocab, hidden]
  WeightType type = WeightType::kFloat32;  // of all matrices
  std::vector<NativeLayer> layers;
  LargeMemory memory;  // of the matrices; they are views

  int64_t matrix_bytes() const;
};

// Without `type` weights stay as exact as the package has them: packages whose matrices are all
// bf16 are kept in bf16, others in fp32. int8 and int4 are read from the packed file beside the
// model (packed_file.h) when it is there and right; else, with `write_packed_file`, it is written,
// and where that fails, nothing is lost but time.
// Errors: those of ModelPackage::Tensor(); ResourceExhausted (memory).
absl::StatusOr<NativeWeights> LoadNativeWeights(const ModelPackage& package,
                                                std::optional<WeightType> type,
                                                bool write_packed_file);

// Weights of the given shape without meaning, for measurements of speed: equal for equal seeds.
absl::StatusOr<NativeWeights> RandomNativeWeights(const ModelConfig& config, WeightType type,
                                                  uint64_t seed);

}  // namespace dragoman::model
