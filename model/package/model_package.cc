#include "model/package/model_package.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "base/file.h"
#include "base/sha256.h"
#include "base/status_macros.h"
#include "model/package/architecture_tensors.h"
#include "model/package/config_json.h"
#include "model/package/float_conversion.h"
#include "model/package/package_json.h"
#include "model/package/plain_name.h"

namespace dragoman::model {
namespace {

constexpr char kConfigFile[] = "config.json";
constexpr char kWeightsFile[] = "model.safetensors";
constexpr char kIndexFile[] = "model.safetensors.index.json";
constexpr size_t kMaxTextFile = size_t{4} << 20;
constexpr size_t kMaxIndexFile = size_t{64} << 20;
constexpr size_t kMaxFileName = 255;
constexpr char kHeadName[] = "lm_head.weight";
constexpr char kEmbeddingName[] = "model.embed_tokens.weight";
constexpr char kInverseFrequencies[] = ".self_attn.rotary_emb.inv_freq";

std::string Join(const std::string& folder, const std::string& name) { return folder + "/" + name; }

bool Exists(const std::string& path) {
  std::error_code error;
  const auto status = std::filesystem::symlink_status(path, error);
  return !error && status.type() != std::filesystem::file_type::not_found;
}

// A folder or device in place of a file is as good as no file.
absl::StatusOr<std::string> ReadTextFile(const std::string& path, size_t max_bytes) {
  absl::StatusOr<std::string> text = ReadFile(path, max_bytes);
  if (text.ok() || text.status().code() != absl::StatusCode::kInvalidArgument) return text;
  std::error_code error;
  const bool regular = std::filesystem::is_regular_file(path, error);
  const std::string message(text.status().message());
  if (regular) return absl::DataLossError(message);  // over the size limit
  return absl::NotFoundError(message);
}

std::string ShapeText(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size() && i < 8; ++i) {
    absl::StrAppend(&text, i == 0 ? "" : ", ", shape[i]);
  }
  return absl::StrCat(text, shape.size() > 8 ? ", ...]" : "]");
}

absl::Status CheckDigests(const std::string& folder, const PackageManifest& manifest) {
  for (const auto& [name, digest] : manifest.sha256) {
    const absl::StatusOr<std::string> found = Sha256HexOfFile(Join(folder, name));
    if (!found.ok()) {
      return absl::NotFoundError(absl::StrCat(
          "file ", QuotedName(name), " of dragoman.json: ", std::string(found.status().message())));
    }
    if (*found != digest) {
      return absl::DataLossError(absl::StrCat(Join(folder, name), ": was changed: SHA-256 ", *found,
                                              ", dragoman.json says ", digest));
    }
  }
  return absl::OkStatus();
}

// Tensor name -> shard file name.
absl::StatusOr<std::map<std::string, std::string>> ReadIndex(const std::string& path) {
  DRAGOMAN_ASSIGN_OR_RETURN(const std::string text, ReadTextFile(path, kMaxIndexFile));
  const absl::StatusOr<Json> json =
      ParsePackageJson(text, {.max_bytes = kMaxIndexFile, .max_depth = 8});
  if (!json.ok()) return AddContext(json.status(), path);
  if (!json->is_object() || !json->contains("weight_map") || !json->at("weight_map").is_object()) {
    return absl::DataLossError(absl::StrCat(path, ": has no weight_map"));
  }
  std::map<std::string, std::string> shard_of;
  for (const auto& [name, shard] : json->at("weight_map").items()) {
    if (!shard.is_string()) {
      return absl::DataLossError(
          absl::StrCat(path, ": shard of ", QuotedName(name), " is not a string"));
    }
    const std::string file = shard.get<std::string>();
    DRAGOMAN_RETURN_IF_ERROR(AddContext(CheckPlainFileName(file), path));
    if (file.size() > kMaxFileName) {  // no file system has it; keeps the message short, too
      return absl::NotFoundError(absl::StrCat(path, ": shard ", QuotedName(file), " of ",
                                              file.size(), " bytes cannot exist"));
    }
    shard_of.emplace(name, file);
  }
  return shard_of;
}

// Old LLaMA files store the rotary table, which every reader computes anew.
bool IsStoredRotaryTable(std::string_view name, int64_t num_layers) {
  for (int64_t i = 0; i < num_layers; ++i) {
    if (name == absl::StrCat("model.layers.", i, kInverseFrequencies)) return true;
  }
  return false;
}

// Text of all names, types, shapes and digests in sorted order, hashed once more.
std::string DigestOf(const std::map<std::string, TensorView, std::less<>>& tensors) {
  std::string listing;
  for (const auto& [name, view] : tensors) {
    absl::StrAppend(&listing, name, " ", DTypeName(view.dtype));
    for (const int64_t size : view.shape) absl::StrAppend(&listing, " ", size);
    absl::StrAppend(&listing, " ", Sha256Hex(view.bytes), "\n");
  }
  return Sha256Hex(listing);
}

}  // namespace

absl::StatusOr<std::unique_ptr<ModelPackage>> ModelPackage::Load(const std::string& folder,
                                                                 bool require_manifest) {
  std::error_code error;
  if (!std::filesystem::is_directory(folder, error)) {
    return absl::NotFoundError(absl::StrCat(folder, ": is not a model package folder"));
  }
  std::unique_ptr<ModelPackage> package(new ModelPackage());
  package->folder_ = folder;
  DRAGOMAN_RETURN_IF_ERROR(AddContext(package->ReadConfig(require_manifest), folder));
  DRAGOMAN_RETURN_IF_ERROR(AddContext(package->ReadPolicyFile(), folder));
  DRAGOMAN_RETURN_IF_ERROR(AddContext(package->ReadWeights(), folder));
  DRAGOMAN_RETURN_IF_ERROR(AddContext(package->CheckTensors(), folder));
  package->weights_digest_ = DigestOf(package->tensors_);
  return package;
}

absl::Status ModelPackage::ReadConfig(bool require_manifest) {
  const std::string manifest_path = Join(folder_, kManifestFileName);
  has_manifest_ = Exists(manifest_path);
  if (!has_manifest_ && require_manifest) {
    return absl::NotFoundError(
        absl::StrCat(kManifestFileName,
                     " is missing: a plain Hugging Face folder cannot be served; fine-tune it "
                     "with dragoman-model train, which writes a package"));
  }
  std::optional<int64_t> position_limit;
  if (has_manifest_) {
    DRAGOMAN_ASSIGN_OR_RETURN(const std::string text, ReadTextFile(manifest_path, kMaxTextFile));
    DRAGOMAN_ASSIGN_OR_RETURN(manifest_, ParseManifest(text));
    DRAGOMAN_RETURN_IF_ERROR(CheckDigests(folder_, manifest_));
    position_limit = manifest_.max_positions;
  }
  DRAGOMAN_ASSIGN_OR_RETURN(const std::string text,
                            ReadTextFile(Join(folder_, kConfigFile), kMaxTextFile));
  DRAGOMAN_ASSIGN_OR_RETURN(config_, ParseConfigJson(text, position_limit));
  if (has_manifest_) {
    DRAGOMAN_RETURN_IF_ERROR(CheckManifest(manifest_, config_));
    config_.layers = manifest_.layers;
    return absl::OkStatus();
  }
  manifest_.max_positions = static_cast<int32_t>(config_.max_positions);
  return absl::OkStatus();
}

absl::Status ModelPackage::ReadPolicyFile() {
  const std::string path = Join(folder_, kPolicyFileName);
  if (!Exists(path)) return absl::OkStatus();
  DRAGOMAN_ASSIGN_OR_RETURN(const std::string text, ReadTextFile(path, kMaxTextFile));
  DRAGOMAN_ASSIGN_OR_RETURN(align_att_, ParsePolicyFile(text, config_));
  return absl::OkStatus();
}

absl::Status ModelPackage::ReadWeights() {
  const bool has_index = Exists(Join(folder_, kIndexFile));
  const bool has_single = Exists(Join(folder_, kWeightsFile));
  if (has_index && has_single) {
    return absl::FailedPreconditionError(absl::StrCat("both ", kWeightsFile, " and ", kIndexFile,
                                                      " are there: remove the one that is stale"));
  }
  if (has_index) return ReadShards();
  DRAGOMAN_ASSIGN_OR_RETURN(std::unique_ptr<SafetensorsFile> file,
                            SafetensorsFile::Open(Join(folder_, kWeightsFile)));
  tensors_ = file->tensors();
  files_.push_back(std::move(file));
  return absl::OkStatus();
}

absl::Status ModelPackage::ReadShards() {
  using ShardMap = std::map<std::string, std::string>;
  DRAGOMAN_ASSIGN_OR_RETURN(const ShardMap shard_of, ReadIndex(Join(folder_, kIndexFile)));
  std::map<std::string, const SafetensorsFile*> shards;
  for (const auto& [name, shard] : shard_of) {
    const SafetensorsFile*& file = shards[shard];
    if (file == nullptr) {
      DRAGOMAN_ASSIGN_OR_RETURN(std::unique_ptr<SafetensorsFile> opened,
                                SafetensorsFile::Open(Join(folder_, shard)));
      file = opened.get();
      files_.push_back(std::move(opened));
    }
    const auto tensor = file->tensors().find(name);
    if (tensor == file->tensors().end()) {
      return absl::FailedPreconditionError(
          absl::StrCat("tensor ", QuotedName(name), " is missing in shard ", QuotedName(shard)));
    }
    tensors_.emplace(name, tensor->second);
  }
  // Tensors that the index does not name: one of the model is "missing" (the index lacks it), any
  // other is unknown, and one that the index finds elsewhere is there twice.
  const std::vector<std::string> names = TensorNames();
  for (const auto& [shard, file] : shards) {
    for (const auto& [name, view] : file->tensors()) {
      const auto listed = shard_of.find(name);
      if (listed != shard_of.end() && listed->second == shard) continue;
      const bool of_model = std::find(names.begin(), names.end(), name) != names.end();
      if (listed == shard_of.end() && of_model) {
        return absl::FailedPreconditionError(
            absl::StrCat("tensor ", QuotedName(name), " is missing in ", kIndexFile));
      }
      return absl::FailedPreconditionError(
          absl::StrCat("unknown tensor ", QuotedName(name), " in shard ", QuotedName(shard),
                       listed == shard_of.end() ? "" : ": the index puts it elsewhere"));
    }
  }
  return absl::OkStatus();
}

// The files must hold exactly the weights of the architecture.
absl::Status ModelPackage::CheckTensors() {
  std::map<std::string, TensorView, std::less<>> wanted;
  const std::vector<ExpectedTensor> expected = ExpectedTensors(config_);
  for (const ExpectedTensor& tensor : expected) {
    if (!tensors_.contains(tensor.name)) {
      return absl::FailedPreconditionError(absl::StrCat("tensor ", tensor.name, " is missing"));
    }
  }
  for (const ExpectedTensor& tensor : expected) {
    const TensorView& view = tensors_.find(tensor.name)->second;
    if (view.shape != tensor.shape) {
      return absl::FailedPreconditionError(
          absl::StrCat("tensor ", tensor.name, " has shape ", ShapeText(view.shape),
                       ", the config asks for ", ShapeText(tensor.shape)));
    }
    if (view.dtype != DType::kF32 && view.dtype != DType::kBF16 && view.dtype != DType::kF16) {
      return absl::UnimplementedError(absl::StrCat("tensor ", tensor.name, " has dtype ",
                                                   DTypeName(view.dtype),
                                                   "; known are F32, BF16, F16"));
    }
    if (!AllFinite(view)) {
      return absl::DataLossError(
          absl::StrCat("tensor ", tensor.name, " holds a value that is not finite"));
    }
    wanted.emplace(tensor.name, view);
  }
  for (const auto& [name, view] : tensors_) {
    if (wanted.contains(name) || IsStoredRotaryTable(name, config_.num_layers)) continue;
    // Some tools store the tied head again.
    if (config_.tie_word_embeddings && name == kHeadName &&
        view.bytes == wanted.find(kEmbeddingName)->second.bytes) {
      continue;
    }
    return absl::FailedPreconditionError(absl::StrCat("unknown tensor ", QuotedName(name)));
  }
  tensors_ = std::move(wanted);
  return absl::OkStatus();
}

absl::StatusOr<TensorView> ModelPackage::Tensor(std::string_view name) const {
  const auto it = tensors_.find(name);
  if (it == tensors_.end()) {
    return absl::NotFoundError(absl::StrCat("the model has no tensor ", QuotedName(name)));
  }
  return it->second;
}

std::vector<std::string> ModelPackage::TensorNames() const {
  std::vector<std::string> names;
  for (ExpectedTensor& tensor : ExpectedTensors(config_)) names.push_back(std::move(tensor.name));
  return names;
}

absl::StatusOr<StreamLayout> ModelPackage::Layout(std::string_view source_language,
                                                  std::string_view target_language) const {
  const std::string target(target_language);
  const auto prompt = manifest_.prompts.find(target);
  const auto header = manifest_.target_headers.find(target);
  if (source_language != manifest_.source_language || prompt == manifest_.prompts.end() ||
      header == manifest_.target_headers.end()) {
    return absl::NotFoundError(absl::StrCat("package ", QuotedName(manifest_.name),
                                            " does not translate ", QuotedName(source_language),
                                            " to ", QuotedName(target_language)));
  }
  StreamLayout layout;
  layout.prompt = prompt->second;
  layout.source_end = manifest_.source_end;
  layout.target_header = header->second;
  layout.end_of_target = manifest_.end_of_target;
  layout.phi = manifest_.phi;
  layout.max_positions = manifest_.max_positions;
  return layout;
}

}  // namespace dragoman::model
