// A model package on disk: a Hugging Face style folder (config.json, model.safetensors or shards
// with an index, tokenizer) plus dragoman.json. Every bound is checked before anything is used.
// Immutable after load, therefore thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "model/api/model_config.h"
#include "model/api/stream_layout.h"
#include "model/package/safetensors.h"

namespace dragoman::model {

// dragoman.json, format_version 1 (docs/formats/model_package.md).
struct PackageManifest {
  std::string name;
  std::string description;
  std::string license;
  std::string source_language;                 // BCP 47
  std::vector<std::string> target_languages;
  int32_t phi = 0;
  int32_t max_positions = 0;
  std::string default_policy = "wait-k:3";
  std::map<std::string, std::vector<TokenId>> prompts;   // target language -> prompt ids
  std::vector<TokenId> source_end;
  std::map<std::string, std::vector<TokenId>> target_headers;
  TokenId end_of_target = 0;
  std::map<std::string, std::string> sha256;   // file name -> digest; checked at load when present
};

class ModelPackage {
 public:
  // Checks config, every tensor's name, shape, dtype and range of bytes, tokenizer size and digests.
  // `require_manifest` false accepts a plain Hugging Face folder (training, tests of logits).
  // Errors: NotFound, InvalidArgument (config, tokenizer), DataLoss (weights, digests),
  // Unimplemented (architecture, rope kind, quantised weights).
  static absl::StatusOr<std::unique_ptr<ModelPackage>> Load(const std::string& folder,
                                                            bool require_manifest = true);

  const std::string& folder() const { return folder_; }
  const ModelConfig& config() const { return config_; }
  const PackageManifest& manifest() const { return manifest_; }
  const std::string& weights_digest() const { return weights_digest_; }   // sha256 over tensors

  // A weight by its Hugging Face name ("model.layers.0.self_attn.q_proj.weight"). Phi-3 keeps its
  // fused tensors. Errors: NotFound.
  absl::StatusOr<TensorView> Tensor(std::string_view name) const;
  // All tensor names that the architecture has, in file-independent order.
  std::vector<std::string> TensorNames() const;

  // Errors: NotFound when the pair is not served by this package.
  absl::StatusOr<StreamLayout> Layout(std::string_view source_language,
                                      std::string_view target_language) const;

 private:
  ModelPackage() = default;
  std::string folder_;
  ModelConfig config_;
  PackageManifest manifest_;
  std::string weights_digest_;
  std::vector<std::unique_ptr<SafetensorsFile>> files_;
  std::map<std::string, TensorView, std::less<>> tensors_;
};

}  // namespace dragoman::model
