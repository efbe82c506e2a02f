// A model package on disk: a Hugging Face style folder (config.json, model.safetensors or shards
// with an index, tokenizer) plus dragoman.json and, for some policies, policy.json. Every bound is
// checked before anything is used. Immutable after load, therefore thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "model/api/model_config.h"
#include "model/api/stream_layout.h"
#include "model/package/manifest.h"
#include "model/package/policy_file.h"
#include "model/package/safetensors.h"

namespace dragoman::model {

class ModelPackage {
 public:
  // Checks config, manifest, policy file, digests and every tensor's name, shape, dtype, range of
  // bytes and that all weights are finite. The tokenizer's own reader judges the tokenizer; its
  // size is compared by CheckVocabularySize(). Weights are model.safetensors or the shards of
  // model.safetensors.index.json; both together are refused. Links are followed, since download
  // caches consist of them; names inside the package never leave the folder.
  // `require_manifest` false accepts a plain Hugging Face folder (training, tests of logits); a
  // manifest that is there is read and checked all the same. With a manifest,
  // config().max_positions is the manifest's. Errors: NotFound (a file), DataLoss (damaged file,
  // digest, weight that is not finite), FailedPrecondition (impossible value in config or manifest;
  // tensor missing, unknown or of another shape), InvalidArgument (a name that leaves the folder),
  // Unimplemented (architecture, rope kind, element type, quantised weights, format version).
  static absl::StatusOr<std::unique_ptr<ModelPackage>> Load(const std::string& folder,
                                                            bool require_manifest = true);

  const std::string& folder() const { return folder_; }
  const ModelConfig& config() const { return config_; }
  const PackageManifest& manifest() const { return manifest_; }
  const std::string& weights_digest() const { return weights_digest_; }  // sha256 over tensors

  // Of policy.json; nothing when the package has none.
  const std::optional<AlignAttSettings>& align_att() const { return align_att_; }

  // Whether dragoman.json was there.
  bool has_manifest() const { return has_manifest_; }

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
  absl::Status ReadConfig(bool require_manifest);
  absl::Status ReadPolicyFile();
  absl::Status ReadWeights();
  absl::Status ReadShards();
  absl::Status CheckTensors();

  std::string folder_;
  ModelConfig config_;
  bool has_manifest_ = false;
  PackageManifest manifest_;
  std::optional<AlignAttSettings> align_att_;
  std::string weights_digest_;
  std::vector<std::unique_ptr<SafetensorsFile>> files_;
  std::map<std::string, TensorView, std::less<>> tensors_;
};

}  // namespace dragoman::model
