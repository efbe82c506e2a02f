#include "model/package/router_file.h"

#include <cmath>
#include <cstring>
#include <set>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/sha256.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "model/package/plain_name.h"
#include "model/package/safetensors.h"

namespace dragoman::model {
namespace {

constexpr char kFormat[] = "dragoman-router-1";
constexpr uint64_t kMaxHeaderBytes = 1 << 20;
constexpr float kMaxTheta = 1e4f;

std::string_view Bytes(const std::vector<float>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
}

// Metadata with the file's name for messages.
class Fields {
 public:
  explicit Fields(const SafetensorsFile& file) : metadata_(file.metadata()) {}

  absl::StatusOr<std::string> Text(const char* name) const {
    const auto it = metadata_.find(name);
    if (it == metadata_.end()) {
      return absl::DataLossError(absl::StrCat("metadata has no field ", name));
    }
    return it->second;
  }
  std::string TextOr(const char* name, const char* fallback) const {
    const auto it = metadata_.find(name);
    return it == metadata_.end() ? fallback : it->second;
  }
  absl::StatusOr<int64_t> Count(const char* name) const {
    DRAGOMAN_ASSIGN_OR_RETURN(const std::string text, Text(name));
    int64_t value = 0;
    if (!absl::SimpleAtoi(text, &value) || value < 1 || value > 1 << 20) {
      return absl::DataLossError(
          absl::StrCat("metadata field ", name, " is ", QuotedName(text), ", not a count"));
    }
    return value;
  }
  absl::StatusOr<double> Rate(const char* name) const {
    DRAGOMAN_ASSIGN_OR_RETURN(const std::string text, Text(name));
    double value = 0;
    if (!absl::SimpleAtod(text, &value) || !(value >= 0 && value <= 1)) {
      return absl::DataLossError(absl::StrCat("metadata field ", name, " is ", QuotedName(text),
                                              ", not a rate of 0 to 1"));
    }
    return value;
  }
  absl::StatusOr<std::string> OneOf(const char* name,
                                    const std::vector<std::string>& allowed) const {
    DRAGOMAN_ASSIGN_OR_RETURN(std::string text, Text(name));
    if (std::find(allowed.begin(), allowed.end(), text) == allowed.end()) {
      return absl::DataLossError(absl::StrCat("metadata field ", name, " is ", QuotedName(text),
                                              ", must be one of ", absl::StrJoin(allowed, ", ")));
    }
    return text;
  }

 private:
  const std::map<std::string, std::string>& metadata_;
};

absl::Status ReadTensor(const SafetensorsFile& file, const char* name,
                        const std::vector<int64_t>& shape, std::vector<float>* out) {
  const auto it = file.tensors().find(name);
  if (it == file.tensors().end()) {
    return absl::DataLossError(absl::StrCat("tensor ", name, " is missing"));
  }
  const TensorView& view = it->second;
  if (view.dtype != DType::kF32) {
    return absl::DataLossError(
        absl::StrCat("tensor ", name, " is ", DTypeName(view.dtype), ", must be F32"));
  }
  if (view.shape != shape) {
    return absl::DataLossError(absl::StrCat("tensor ", name, " has shape [",
                                            absl::StrJoin(view.shape, ","), "], must be [",
                                            absl::StrJoin(shape, ","), "]"));
  }
  out->resize(view.bytes.size() / sizeof(float));
  std::memcpy(out->data(), view.bytes.data(), view.bytes.size());
  for (const float value : *out) {
    if (!std::isfinite(value)) {
      return absl::DataLossError(
          absl::StrCat("tensor ", name, " holds a value that is not finite"));
    }
  }
  return absl::OkStatus();
}

absl::Status ReadExempt(const std::string& text, std::vector<uint8_t>* exempt) {
  if (text.empty()) return absl::OkStatus();
  for (const absl::string_view part : absl::StrSplit(text, ',')) {
    size_t layer = 0;
    if (!absl::SimpleAtoi(part, &layer) || layer >= exempt->size() || (*exempt)[layer] != 0) {
      return absl::DataLossError(absl::StrCat("metadata field exempt_layers is ", QuotedName(text),
                                              ", must be layer numbers below ", exempt->size()));
    }
    (*exempt)[layer] = 1;
  }
  return absl::OkStatus();
}

absl::Status ReadMetadata(const Fields& fields, Router* router, bool* linear) {
  DRAGOMAN_ASSIGN_OR_RETURN(const std::string format, fields.Text("format"));
  if (format != kFormat) {
    return absl::DataLossError(
        absl::StrCat("format is ", QuotedName(format), ", this program reads ", kFormat));
  }
  DRAGOMAN_ASSIGN_OR_RETURN(const std::string kind, fields.OneOf("kind", {"linear", "mlp"}));
  *linear = kind == "linear";
  DRAGOMAN_ASSIGN_OR_RETURN(const std::string input, fields.OneOf("input", {"rms", "raw"}));
  router->input = input == "rms" ? RouterInput::kRms : RouterInput::kRaw;
  DRAGOMAN_ASSIGN_OR_RETURN(const std::string rule, fields.Text("kv_rule"));
  if (rule != "always") {
    return absl::DataLossError(absl::StrCat(
        "kv_rule is ", QuotedName(rule),
        "; only routers that keep keys and values of skipped rows ", "(\"always\") can be served"));
  }
  DRAGOMAN_ASSIGN_OR_RETURN(router->num_layers, fields.Count("num_layers"));
  DRAGOMAN_ASSIGN_OR_RETURN(router->width, fields.Count("width"));
  DRAGOMAN_ASSIGN_OR_RETURN(router->base_digest, fields.Text("base_sha256"));
  DRAGOMAN_ASSIGN_OR_RETURN(router->target_rate[0], fields.Rate("rho_source"));
  DRAGOMAN_ASSIGN_OR_RETURN(router->target_rate[1], fields.Rate("rho_target"));
  DRAGOMAN_ASSIGN_OR_RETURN(router->measured_rate[0], fields.Rate("rate_source"));
  DRAGOMAN_ASSIGN_OR_RETURN(router->measured_rate[1], fields.Rate("rate_target"));
  DRAGOMAN_ASSIGN_OR_RETURN(router->noise, fields.OneOf("noise", {"faded", "sampled", "none"}));
  router->source = fields.TextOr("source", "");
  router->license = fields.TextOr("license", "");
  return absl::OkStatus();
}

absl::StatusOr<Router> Parse(const SafetensorsFile& file, const ModelConfig& config,
                             const RouterFileCheck& check) {
  const Fields fields(file);
  Router router;
  bool linear = true;
  DRAGOMAN_RETURN_IF_ERROR(ReadMetadata(fields, &router, &linear));
  if (router.num_layers != config.num_layers || router.width != config.hidden_size) {
    return absl::FailedPreconditionError(
        absl::StrCat("router of ", router.num_layers, " layers and width ", router.width,
                     "; the model has ", config.num_layers, " and ", config.hidden_size));
  }
  if (router.base_digest != check.base_digest && !check.allow_base_mismatch) {
    return absl::FailedPreconditionError(
        "the router was made for other weights (base_sha256 differs); train and calibrate it for "
        "this model, or allow the mismatch (--router-allow-base-mismatch)");
  }
  router.exempt.assign(static_cast<size_t>(router.num_layers), 0);
  DRAGOMAN_ASSIGN_OR_RETURN(const std::string exempt, fields.Text("exempt_layers"));
  DRAGOMAN_RETURN_IF_ERROR(ReadExempt(exempt, &router.exempt));

  const int64_t layers = router.num_layers, width = router.width;
  std::set<std::string, std::less<>> expected = {"router.weight", "router.bias", "router.theta"};
  if (!linear) {
    expected.insert({"router.hidden.weight", "router.hidden.bias"});
    const auto it = file.tensors().find("router.hidden.bias");
    if (it == file.tensors().end() || it->second.shape.size() != 3 || it->second.shape[2] < 1 ||
        it->second.shape[2] > 1 << 20) {
      return absl::DataLossError("kind mlp needs the tensor router.hidden.bias, [layers, 2, H]");
    }
    router.hidden_size = it->second.shape[2];
    const int64_t hidden = router.hidden_size;
    DRAGOMAN_RETURN_IF_ERROR(
        ReadTensor(file, "router.hidden.bias", {layers, 2, hidden}, &router.hidden_bias));
    DRAGOMAN_RETURN_IF_ERROR(ReadTensor(file, "router.hidden.weight", {layers, 2, hidden, width},
                                        &router.hidden_weight));
  }
  for (const auto& [name, view] : file.tensors()) {
    if (!expected.contains(name)) {
      return absl::DataLossError(absl::StrCat("tensor ", QuotedName(name),
                                              " does not belong to the format; adapters on skipped "
                                              "rows cannot be served"));
    }
  }
  std::vector<float> theta;
  DRAGOMAN_RETURN_IF_ERROR(ReadTensor(
      file, "router.weight", {layers, 2, linear ? width : router.hidden_size}, &router.weight));
  DRAGOMAN_RETURN_IF_ERROR(ReadTensor(file, "router.bias", {2, layers, 2}, &router.bias));
  DRAGOMAN_RETURN_IF_ERROR(ReadTensor(file, "router.theta", {2}, &theta));
  for (size_t g = 0; g < 2; ++g) {
    if (std::fabs(theta[g]) > kMaxTheta) {
      return absl::DataLossError(absl::StrCat("router.theta is ", theta[g], ", limit ", kMaxTheta,
                                              "; serve the model dense instead"));
    }
    router.theta[g] = theta[g];
  }
  std::string content;
  for (const auto& [name, view] : file.tensors()) content += Sha256Hex(view.bytes);
  router.digest = Sha256Hex(content);
  return router;
}

}  // namespace

absl::StatusOr<Router> ReadRouterFile(const std::string& path, const ModelConfig& config,
                                      const RouterFileCheck& check) {
  DRAGOMAN_ASSIGN_OR_RETURN(const std::unique_ptr<SafetensorsFile> file,
                            SafetensorsFile::Open(path, kMaxHeaderBytes));
  absl::StatusOr<Router> router = Parse(*file, config, check);
  if (!router.ok()) return AddContext(router.status(), path);
  return router;
}

absl::StatusOr<std::string> SerializeRouter(const Router& router) {
  const int64_t layers = router.num_layers, hidden = router.hidden_size;
  const std::vector<float> theta = {router.theta[0], router.theta[1]};
  std::vector<NamedTensor> tensors = {
      {"router.weight",
       {DType::kF32, {layers, 2, hidden > 0 ? hidden : router.width}, Bytes(router.weight)}},
      {"router.bias", {DType::kF32, {2, layers, 2}, Bytes(router.bias)}},
      {"router.theta", {DType::kF32, {2}, Bytes(theta)}}};
  if (hidden > 0) {
    tensors.push_back(
        {"router.hidden.weight",
         {DType::kF32, {layers, 2, hidden, router.width}, Bytes(router.hidden_weight)}});
    tensors.push_back(
        {"router.hidden.bias", {DType::kF32, {layers, 2, hidden}, Bytes(router.hidden_bias)}});
  }
  for (const auto* values :
       {&router.weight, &router.bias, &theta, &router.hidden_weight, &router.hidden_bias}) {
    for (const float value : *values) {
      if (!std::isfinite(value)) {
        return absl::InvalidArgumentError("the router holds a value that is not finite");
      }
    }
  }
  std::vector<std::string> exempt;
  for (size_t l = 0; l < router.exempt.size(); ++l) {
    if (router.exempt[l] != 0) exempt.push_back(absl::StrCat(l));
  }
  const auto rate = [](double value) { return absl::StrFormat("%.6f", value); };
  return SerializeSafetensors(tensors,
                              {{"format", kFormat},
                               {"kind", hidden > 0 ? "mlp" : "linear"},
                               {"input", router.input == RouterInput::kRms ? "rms" : "raw"},
                               {"num_layers", absl::StrCat(layers)},
                               {"width", absl::StrCat(router.width)},
                               {"base_sha256", router.base_digest},
                               {"exempt_layers", absl::StrJoin(exempt, ",")},
                               {"kv_rule", "always"},
                               {"rho_source", rate(router.target_rate[0])},
                               {"rho_target", rate(router.target_rate[1])},
                               {"rate_source", rate(router.measured_rate[0])},
                               {"rate_target", rate(router.measured_rate[1])},
                               {"noise", router.noise},
                               {"source", router.source},
                               {"license", router.license}});
}

}  // namespace dragoman::model
