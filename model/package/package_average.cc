#include "model/package/package_average.h"

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "model/package/float_conversion.h"
#include "model/package/model_package.h"
#include "model/package/package_writer.h"
#include "model/package/router_file.h"

namespace dragoman::model {
namespace {

// Sums in fp64 do not depend on the order of the packages by more than the last bit of fp32.
using Sums = std::map<std::string, std::vector<double>, std::less<>>;

void Add(const std::vector<float>& values, std::vector<double>* sums) {
  sums->resize(values.size());
  for (size_t i = 0; i < values.size(); ++i) (*sums)[i] += values[i];
}

std::vector<float> Mean(const std::vector<double>& sums, size_t count) {
  std::vector<float> mean(sums.size());
  for (size_t i = 0; i < sums.size(); ++i) {
    mean[i] = static_cast<float>(sums[i] / static_cast<double>(count));
  }
  return mean;
}

bool DependsOnWeights(const std::string& name) {
  return name == "model.safetensors" || name == kRouterFileName || name == kPolicyFileName;
}

// What packages must share: the layout, and every further file (tokenizer, config) by its digest.
std::string Common(const ModelPackage& package) {
  PackageManifest manifest = package.manifest();
  manifest.name = manifest.description = manifest.license = manifest.default_policy = "-";
  std::erase_if(manifest.sha256, [](const auto& file) { return DependsOnWeights(file.first); });
  return FormatManifest(manifest);
}

bool SameForm(const Router& a, const Router& b) {
  return a.num_layers == b.num_layers && a.width == b.width && a.hidden_size == b.hidden_size &&
         a.input == b.input && a.exempt == b.exempt && a.noise == b.noise;
}

// The routers of the packages, added up; gone as soon as one has none or another form.
class RouterSum {
 public:
  absl::Status Add(const ModelPackage& package) {
    const std::string path = absl::StrCat(package.folder(), "/", kRouterFileName);
    std::error_code error;
    if (!std::filesystem::exists(path, error)) {
      complete_ = false;
      return absl::OkStatus();
    }
    DRAGOMAN_ASSIGN_OR_RETURN(
        const Router router,
        ReadRouterFile(path, package.config(), {.base_digest = package.weights_digest()}));
    if (!first_.has_value()) first_ = router;
    if (!SameForm(*first_, router)) complete_ = false;
    if (!complete_) return absl::OkStatus();
    model::Add(router.weight, &weight_);
    model::Add(router.bias, &bias_);
    model::Add(router.hidden_weight, &hidden_weight_);
    model::Add(router.hidden_bias, &hidden_bias_);
    model::Add({router.theta.begin(), router.theta.end()}, &theta_);
    return absl::OkStatus();
  }
  std::optional<Router> Mean(size_t count) const {
    if (!complete_ || !first_.has_value()) return std::nullopt;
    Router mean = *first_;
    mean.weight = model::Mean(weight_, count);
    mean.bias = model::Mean(bias_, count);
    mean.hidden_weight = model::Mean(hidden_weight_, count);
    mean.hidden_bias = model::Mean(hidden_bias_, count);
    const std::vector<float> theta = model::Mean(theta_, count);
    mean.theta = {theta[0], theta[1]};
    return mean;
  }

 private:
  bool complete_ = true;
  std::optional<Router> first_;
  std::vector<double> weight_, bias_, hidden_weight_, hidden_bias_, theta_;
};

}  // namespace

absl::Status AveragePackages(const std::vector<std::string>& folders, const std::string& output) {
  if (folders.size() < 2) return absl::InvalidArgumentError("a mean takes two packages or more");
  Sums sums;
  RouterSum routers;
  PackageContents contents;
  std::unique_ptr<ModelPackage> first;
  for (const std::string& folder : folders) {
    DRAGOMAN_ASSIGN_OR_RETURN(std::unique_ptr<ModelPackage> package, ModelPackage::Load(folder));
    if (first == nullptr) {
      contents.config = package->config();
      contents.manifest = package->manifest();
      contents.dtype = package->Tensor(package->TensorNames().front())->dtype == DType::kBF16
                           ? DType::kBF16
                           : DType::kF32;
      for (const auto& [name, digest] : contents.manifest.sha256) {
        if (name != "config.json" && !DependsOnWeights(name)) {
          contents.copies[name] = absl::StrCat(folder, "/", name);
        }
      }
    } else if (Common(*package) != Common(*first)) {
      return absl::InvalidArgumentError(absl::StrCat(
          folder, ": config.json, tokenizer or layout differ from ", folders.front(),
          ": only packages of one model can be averaged, best of runs from the same weights"));
    }
    for (const std::string& name : package->TensorNames()) {
      DRAGOMAN_ASSIGN_OR_RETURN(const TensorView view, package->Tensor(name));
      DRAGOMAN_ASSIGN_OR_RETURN(const std::vector<float> values, DecodeFloats(view));
      Add(values, &sums[name]);
    }
    DRAGOMAN_RETURN_IF_ERROR(routers.Add(*package));
    if (first == nullptr) first = std::move(package);
  }
  // Not moved later: views point into it.
  std::map<std::string, std::string, std::less<>> bytes;
  for (auto& [name, sum] : sums) {
    DRAGOMAN_ASSIGN_OR_RETURN(TensorView view, first->Tensor(name));
    DRAGOMAN_ASSIGN_OR_RETURN(bytes[name], EncodeFloats(Mean(sum, folders.size()), contents.dtype));
    sum = {};
    view.dtype = contents.dtype;
    view.bytes = bytes[name];
    contents.tensors.push_back({name, std::move(view)});
  }
  DRAGOMAN_RETURN_IF_ERROR(WritePackage(output, contents));
  const std::optional<Router> router = routers.Mean(folders.size());
  if (!router.has_value()) return absl::OkStatus();
  DRAGOMAN_ASSIGN_OR_RETURN(const std::unique_ptr<ModelPackage> written,
                            ModelPackage::Load(output));
  return PutRouter(*written, *router);
}

}  // namespace dragoman::model
