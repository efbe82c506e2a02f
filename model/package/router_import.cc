#include "model/package/router_import.h"

#include <cmath>
#include <map>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "base/status_macros.h"
#include "model/package/float_conversion.h"
#include "model/package/plain_name.h"
#include "model/package/safetensors.h"

namespace dragoman::model {
namespace {

constexpr const char* kModules[2] = {"router_attention", "router_mlp"};
constexpr char kWrapper[] = "base_model.model.";

// Tensors by the names of the plain model.
std::map<std::string, TensorView> PlainNames(const SafetensorsFile& file) {
  std::map<std::string, TensorView> plain;
  for (const auto& [name, view] : file.tensors()) {
    std::string key = name;
    if (absl::StartsWith(key, kWrapper)) key = key.substr(sizeof(kWrapper) - 1);
    key = absl::StrReplaceAll(key, {{".block.", "."}, {".base_layer.", "."}});
    plain.emplace(std::move(key), view);
  }
  return plain;
}

class RouterReader {
 public:
  RouterReader(const std::map<std::string, TensorView>& tensors, const ModelConfig& config)
      : tensors_(tensors), config_(config) {}

  absl::StatusOr<Router> Read() {
    Router router;
    router.num_layers = config_.num_layers;
    router.width = config_.hidden_size;
    router.input = RouterInput::kRaw;
    router.noise = "sampled";
    router.exempt.assign(static_cast<size_t>(config_.num_layers), 0);
    const auto inner = tensors_.find(Name(0, 0, "hidden_layer.bias"));
    if (inner != tensors_.end() && inner->second.shape.size() == 1) {
      router.hidden_size = inner->second.shape[0];
    }
    const int64_t width = router.hidden_size > 0 ? router.hidden_size : router.width;
    std::vector<float> biases;
    for (int64_t layer = 0; layer < router.num_layers; ++layer) {
      for (int module = 0; module < 2; ++module) {
        if (router.hidden_size > 0) {
          DRAGOMAN_RETURN_IF_ERROR(Append(Name(layer, module, "hidden_layer.weight"),
                                          {router.hidden_size, router.width},
                                          &router.hidden_weight));
          DRAGOMAN_RETURN_IF_ERROR(Append(Name(layer, module, "hidden_layer.bias"),
                                          {router.hidden_size}, &router.hidden_bias));
        }
        std::vector<float> weight, bias;
        DRAGOMAN_RETURN_IF_ERROR(
            Append(Name(layer, module, "weight_predictor.weight"), {2, width}, &weight));
        DRAGOMAN_RETURN_IF_ERROR(Append(Name(layer, module, "weight_predictor.bias"), {2}, &bias));
        for (int64_t i = 0; i < width; ++i) {
          router.weight.push_back(weight[static_cast<size_t>(i)] -
                                  weight[static_cast<size_t>(width + i)]);
        }
        biases.push_back(bias[0] - bias[1]);
      }
    }
    router.bias = biases;  // the same for both groups
    router.bias.insert(router.bias.end(), biases.begin(), biases.end());
    return router;
  }

 private:
  static std::string Name(int64_t layer, int module, const char* part) {
    return absl::StrCat("model.layers.", layer, ".", kModules[module], ".", part);
  }

  absl::Status Append(const std::string& name, const std::vector<int64_t>& shape,
                      std::vector<float>* out) const {
    const auto it = tensors_.find(name);
    if (it == tensors_.end()) {
      return absl::FailedPreconditionError(absl::StrCat(
          "tensor ", name, " is missing; a SkipGPT router has one per layer and module"));
    }
    if (it->second.shape != shape) {
      return absl::FailedPreconditionError(
          absl::StrCat("tensor ", name, " has shape [", absl::StrJoin(it->second.shape, ","),
                       "], the model needs [", absl::StrJoin(shape, ","), "]"));
    }
    DRAGOMAN_ASSIGN_OR_RETURN(const std::vector<float> values, DecodeFloats(it->second));
    for (const float value : values) {
      if (!std::isfinite(value)) {
        return absl::DataLossError(
            absl::StrCat("tensor ", name, " holds a value that is not finite"));
      }
    }
    out->insert(out->end(), values.begin(), values.end());
    return absl::OkStatus();
  }

  const std::map<std::string, TensorView>& tensors_;
  const ModelConfig& config_;
};

}  // namespace

absl::StatusOr<Router> ImportRouter(const std::string& path, const ModelConfig& config) {
  DRAGOMAN_ASSIGN_OR_RETURN(const std::unique_ptr<SafetensorsFile> file,
                            SafetensorsFile::Open(path));
  const std::map<std::string, TensorView> tensors = PlainNames(*file);
  for (const auto& [name, view] : tensors) {
    if (absl::StrContains(name, "adapter") || absl::StrContains(name, "router_proj")) {
      return absl::FailedPreconditionError(
          absl::StrCat(path, ": tensor ", QuotedName(name),
                       " belongs to an adapter on skipped rows, which cannot be served"));
    }
  }
  absl::StatusOr<Router> router = RouterReader(tensors, config).Read();
  if (!router.ok()) return AddContext(router.status(), path);
  return router;
}

}  // namespace dragoman::model
