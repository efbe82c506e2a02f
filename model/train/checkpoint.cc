#include "model/train/checkpoint.h"

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "absl/strings/numbers.h"
#include "base/file.h"
#include "base/json.h"
#include "base/sha256.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "model/package/safetensors.h"
#include "torch/torch.h"

namespace dragoman::model {
namespace {

constexpr char kTensorFile[] = "/state.safetensors";
constexpr char kJsonFile[] = "/checkpoint.json";

std::string StepFolder(const std::string& folder, int64_t step) {
  return absl::StrFormat("%s/step-%08d", folder, step);
}

// Opens the tensors of a checkpoint after checking their digest.
absl::StatusOr<std::unique_ptr<SafetensorsFile>> OpenTensors(const std::string& path, Json* json) {
  DRAGOMAN_ASSIGN_OR_RETURN(*json, ReadJsonFile(path + kJsonFile));
  DRAGOMAN_ASSIGN_OR_RETURN(const std::string expected, GetString(*json, "state_sha256", path));
  DRAGOMAN_ASSIGN_OR_RETURN(const std::string digest, Sha256HexOfFile(path + kTensorFile));
  if (digest != expected) {
    return absl::DataLossError(path + kTensorFile + ": digest differs from checkpoint.json");
  }
  return SafetensorsFile::Open(path + kTensorFile);
}

// The fp32 tensor `name` of a file with the shape of `like`.
absl::StatusOr<torch::Tensor> ReadTensor(const SafetensorsFile& file, const std::string& name,
                                         const torch::Tensor& like) {
  const auto it = file.tensors().find(name);
  if (it == file.tensors().end()) {
    return absl::FailedPreconditionError("the checkpoint has no tensor " + name +
                                         "; it belongs to another model");
  }
  const TensorView& view = it->second;
  if (view.dtype != DType::kF32 || view.shape != like.sizes().vec()) {
    return absl::FailedPreconditionError("tensor " + name +
                                         " of the checkpoint has another shape or type");
  }
  torch::Tensor tensor = torch::empty(view.shape, torch::kFloat32);
  std::memcpy(tensor.data_ptr(), view.bytes.data(), view.bytes.size());
  return tensor;
}

}  // namespace

std::vector<int64_t> ListCheckpoints(const std::string& folder) {
  std::vector<int64_t> steps;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    int64_t step = 0;
    if (name.rfind("step-", 0) == 0 && absl::SimpleAtoi(name.substr(5), &step)) {
      steps.push_back(step);
    }
  }
  std::sort(steps.begin(), steps.end());
  return steps;
}

absl::Status SaveCheckpoint(const std::string& folder, const TrainingState& state,
                            const std::vector<NamedParameter>& tensors, int64_t keep) {
  torch::NoGradGuard no_grad;
  std::vector<torch::Tensor> kept;
  std::vector<NamedTensor> named;
  for (const auto& [name, tensor] : tensors) {
    kept.push_back(tensor.detach().to(torch::kCPU, torch::kFloat32).contiguous());
    const torch::Tensor& flat = kept.back();
    named.push_back({name,
                     {DType::kF32, flat.sizes().vec(),
                      std::string_view(static_cast<const char*>(flat.data_ptr()), flat.nbytes())}});
  }
  DRAGOMAN_ASSIGN_OR_RETURN(const std::string bytes, SerializeSafetensors(named, {}));
  Json json = Json::object();
  json["format_version"] = 1;
  json["code_version"] = DRAGOMAN_VERSION;
  json["step"] = state.step;
  json["optimizer_steps"] = state.optimizer_steps;
  json["epoch"] = state.epoch;
  json["next_batch"] = state.next_batch;
  json["seed"] = state.seed;
  json["loss_tokens"] = state.loss_tokens;
  json["loss_sum"] = state.loss_sum;
  json["seconds"] = state.seconds;
  json["tokens"] = state.tokens;
  json["state_sha256"] = Sha256Hex(bytes);

  std::error_code error;
  const std::string target = StepFolder(folder, state.step);
  const std::string temporary = absl::StrCat(folder, "/tmp-", state.step);
  std::filesystem::create_directories(temporary, error);
  if (error) return absl::UnavailableError(absl::StrCat(temporary, ": ", error.message()));
  DRAGOMAN_RETURN_IF_ERROR(WriteFileAtomically(temporary + kTensorFile, bytes));
  DRAGOMAN_RETURN_IF_ERROR(WriteFileAtomically(temporary + kJsonFile, DumpJson(json, 2) + "\n"));
  DRAGOMAN_RETURN_IF_ERROR(ReplaceDirectory(temporary, target));
  std::vector<int64_t> steps = ListCheckpoints(folder);
  while (static_cast<int64_t>(steps.size()) > keep) {
    std::filesystem::remove_all(StepFolder(folder, steps.front()), error);
    steps.erase(steps.begin());
  }
  return absl::OkStatus();
}

absl::StatusOr<TrainingState> LoadNewestCheckpoint(const std::string& folder,
                                                   const std::vector<NamedParameter>& tensors,
                                                   std::vector<std::string>* skipped) {
  torch::NoGradGuard no_grad;
  std::vector<int64_t> steps = ListCheckpoints(folder);
  for (auto it = steps.rbegin(); it != steps.rend(); ++it) {
    const std::string path = StepFolder(folder, *it);
    Json json;
    absl::StatusOr<std::unique_ptr<SafetensorsFile>> file = OpenTensors(path, &json);
    if (!file.ok()) {
      skipped->push_back(std::string(file.status().message()));
      continue;
    }
    std::vector<torch::Tensor> values;
    for (const auto& [name, tensor] : tensors) {
      DRAGOMAN_ASSIGN_OR_RETURN(torch::Tensor value, ReadTensor(**file, name, tensor));
      values.push_back(std::move(value));
    }
    TrainingState state;
    const std::string where = path + kJsonFile;
    const auto read = [&](const char* field, auto* out) -> absl::Status {
      DRAGOMAN_ASSIGN_OR_RETURN(*out, GetInt(json, field, where, 0, INT64_MAX));
      return absl::OkStatus();
    };
    DRAGOMAN_RETURN_IF_ERROR(read("step", &state.step));
    DRAGOMAN_RETURN_IF_ERROR(read("optimizer_steps", &state.optimizer_steps));
    DRAGOMAN_RETURN_IF_ERROR(read("epoch", &state.epoch));
    DRAGOMAN_RETURN_IF_ERROR(read("next_batch", &state.next_batch));
    DRAGOMAN_RETURN_IF_ERROR(read("seed", &state.seed));
    DRAGOMAN_RETURN_IF_ERROR(read("loss_tokens", &state.loss_tokens));
    DRAGOMAN_RETURN_IF_ERROR(read("tokens", &state.tokens));
    DRAGOMAN_ASSIGN_OR_RETURN(state.loss_sum, GetDouble(json, "loss_sum", where));
    DRAGOMAN_ASSIGN_OR_RETURN(state.seconds, GetDouble(json, "seconds", where));
    for (size_t i = 0; i < tensors.size(); ++i) tensors[i].second.detach().copy_(values[i]);
    return state;
  }
  return absl::NotFoundError(folder + ": holds no checkpoint");
}

absl::StatusOr<int64_t> AverageCheckpoints(const std::string& folder, int64_t count,
                                           const std::vector<NamedParameter>& tensors) {
  torch::NoGradGuard no_grad;
  std::vector<int64_t> steps = ListCheckpoints(folder);
  if (static_cast<int64_t>(steps.size()) > count) steps.erase(steps.begin(), steps.end() - count);
  std::vector<torch::Tensor> sums;
  int64_t used = 0;
  for (const int64_t step : steps) {
    Json json;
    absl::StatusOr<std::unique_ptr<SafetensorsFile>> file =
        OpenTensors(StepFolder(folder, step), &json);
    if (!file.ok()) continue;
    for (size_t i = 0; i < tensors.size(); ++i) {
      DRAGOMAN_ASSIGN_OR_RETURN(const torch::Tensor value,
                                ReadTensor(**file, tensors[i].first, tensors[i].second));
      if (used == 0) {
        sums.push_back(value.to(torch::kFloat64));
      } else {
        sums[i].add_(value);
      }
    }
    ++used;
  }
  if (used == 0) return absl::NotFoundError(folder + ": holds no checkpoint");
  for (size_t i = 0; i < tensors.size(); ++i) {
    tensors[i].second.detach().copy_(sums[i] / static_cast<double>(used));
  }
  return used;
}

}  // namespace dragoman::model
