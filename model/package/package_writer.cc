#include "model/package/package_writer.h"

#include <unistd.h>

#include <filesystem>
#include <utility>

#include "base/file.h"
#include "base/sha256.h"
#include "base/status_macros.h"
#include "model/package/architecture_tensors.h"
#include "model/package/config_json.h"
#include "model/package/float_conversion.h"
#include "model/package/model_package.h"
#include "model/package/plain_name.h"
#include "model/package/router_file.h"

namespace dragoman::model {
namespace {

// Removes the temporary folder unless it was renamed away.
class TemporaryFolder {
 public:
  explicit TemporaryFolder(std::string path) : path_(std::move(path)) {}
  ~TemporaryFolder() {
    std::error_code error;
    std::filesystem::remove_all(path_, error);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  absl::Status Create() const {
    std::error_code error;
    std::filesystem::remove_all(path_, error);
    std::filesystem::create_directories(path_, error);
    if (!error) return absl::OkStatus();
    return absl::UnavailableError(absl::StrCat(path_, ": cannot be made: ", error.message()));
  }
  const std::string& path() const { return path_; }

 private:
  const std::string path_;
};

absl::StatusOr<std::string> SerializeWeights(const PackageContents& contents) {
  std::map<std::string_view, const TensorView*> given;
  for (const NamedTensor& tensor : contents.tensors) given.emplace(tensor.name, &tensor.view);
  const std::vector<ExpectedTensor> expected = ExpectedTensors(contents.config);
  if (given.size() != expected.size() || contents.tensors.size() != expected.size()) {
    return absl::InvalidArgumentError(absl::StrCat("package has ", contents.tensors.size(),
                                                   " tensors, the config asks for ",
                                                   expected.size()));
  }
  std::vector<std::string> converted(expected.size());  // not moved later: views point into it
  std::vector<NamedTensor> stored;
  for (size_t i = 0; i < expected.size(); ++i) {
    const auto it = given.find(expected[i].name);
    if (it == given.end() || it->second->shape != expected[i].shape) {
      return absl::InvalidArgumentError(
          absl::StrCat("tensor ", expected[i].name, " is missing or has another shape"));
    }
    TensorView view = *it->second;
    if (!AllFinite(view)) {
      return absl::InvalidArgumentError(
          absl::StrCat("tensor ", expected[i].name, " holds a value that is not finite"));
    }
    if (view.dtype != contents.dtype) {
      DRAGOMAN_ASSIGN_OR_RETURN(const std::vector<float> values, DecodeFloats(view));
      DRAGOMAN_ASSIGN_OR_RETURN(converted[i], EncodeFloats(values, contents.dtype));
      view.dtype = contents.dtype;
      view.bytes = converted[i];
    }
    stored.push_back({expected[i].name, std::move(view)});
  }
  return SerializeSafetensors(stored, {{"format", "pt"}});
}

// Writes one file and notes its digest.
absl::Status AddFile(const std::string& folder, const std::string& name, std::string_view content,
                     PackageManifest* manifest) {
  DRAGOMAN_RETURN_IF_ERROR(WriteFileAtomically(absl::StrCat(folder, "/", name), content));
  manifest->sha256[name] = Sha256Hex(content);
  return absl::OkStatus();
}

absl::Status AddCopies(const PackageContents& contents, const std::string& folder,
                       PackageManifest* manifest) {
  for (const auto& [name, source] : contents.copies) {
    DRAGOMAN_RETURN_IF_ERROR(CheckPlainFileName(name));
    if (name == "config.json" || name == "model.safetensors" || name == kManifestFileName) {
      return absl::InvalidArgumentError(absl::StrCat("a copy cannot be named ", name));
    }
    DRAGOMAN_ASSIGN_OR_RETURN(const std::unique_ptr<MappedFile> file, MappedFile::Open(source));
    DRAGOMAN_RETURN_IF_ERROR(AddFile(folder, name, file->bytes(), manifest));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status WritePackage(const std::string& folder, const PackageContents& contents) {
  if (contents.dtype != DType::kF32 && contents.dtype != DType::kBF16) {
    return absl::InvalidArgumentError("weights are written as F32 or BF16");
  }
  if (contents.manifest.max_positions != contents.config.max_positions) {
    return absl::InvalidArgumentError(
        absl::StrCat("max_positions ", contents.manifest.max_positions, " of the manifest, ",
                     contents.config.max_positions, " of the config"));
  }
  if (const absl::Status fits = CheckManifest(contents.manifest, contents.config); !fits.ok()) {
    return absl::InvalidArgumentError(std::string(fits.message()));
  }
  const TemporaryFolder temporary(absl::StrCat(folder, ".tmp.", getpid()));
  DRAGOMAN_RETURN_IF_ERROR(temporary.Create());
  PackageManifest manifest = contents.manifest;
  manifest.layers = contents.config.layers;
  manifest.sha256.clear();
  {
    DRAGOMAN_ASSIGN_OR_RETURN(const std::string weights, SerializeWeights(contents));
    DRAGOMAN_RETURN_IF_ERROR(AddFile(temporary.path(), "model.safetensors", weights, &manifest));
  }
  const std::string config_text =
      FormatConfigJson(contents.config, manifest.end_of_target,
                       contents.dtype == DType::kF32 ? "float32" : "bfloat16");
  DRAGOMAN_RETURN_IF_ERROR(AddFile(temporary.path(), "config.json", config_text, &manifest));
  DRAGOMAN_RETURN_IF_ERROR(AddCopies(contents, temporary.path(), &manifest));
  DRAGOMAN_RETURN_IF_ERROR(WriteFileAtomically(
      absl::StrCat(temporary.path(), "/", kManifestFileName), FormatManifest(manifest)));
  if (const absl::Status loads = ModelPackage::Load(temporary.path()).status(); !loads.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the package would not load: ", std::string(loads.message())));
  }
  return ReplaceDirectory(temporary.path(), folder);
}

absl::Status PutRouter(const ModelPackage& package, Router router) {
  router.base_digest = package.weights_digest();
  DRAGOMAN_ASSIGN_OR_RETURN(const std::string bytes, SerializeRouter(router));
  PackageManifest manifest = package.manifest();
  manifest.sha256[kRouterFileName] = Sha256Hex(bytes);
  DRAGOMAN_RETURN_IF_ERROR(
      WriteFileAtomically(absl::StrCat(package.folder(), "/", kRouterFileName), bytes));
  return WriteFileAtomically(absl::StrCat(package.folder(), "/", kManifestFileName),
                             FormatManifest(manifest));
}

}  // namespace dragoman::model
