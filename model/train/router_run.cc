#include "model/train/router_run.h"

#include <memory>
#include <utility>

#include "base/file.h"
#include "base/sha256.h"
#include "base/status_macros.h"
#include "model/corpus/sample_stream.h"
#include "model/package/model_package.h"
#include "model/package/router_file.h"
#include "model/torch/device.h"
#include "model/torch/torch_guard.h"
#include "model/train/router_stage.h"
#include "torch/torch.h"

namespace dragoman::model {
namespace {

// Held-out samples as micro-batches of at least `rows` rows in all, or all of them.
absl::StatusOr<std::vector<MicroBatch>> PackHeldOut(const TrainConfig& config,
                                                    const std::vector<StreamLayout>& layouts,
                                                    const std::vector<Sample>& samples,
                                                    const ModelConfig& model) {
  SampleStreamOptions order;
  order.seed = config.seed;
  order.batch_tokens = config.batch_tokens;
  size_t overhead = 0;
  for (const StreamLayout& layout : layouts) {
    overhead =
        std::max(overhead, layout.prompt.size() + layout.source_end.size() +
                               layout.target_header.size() + static_cast<size_t>(layout.phi) + 1);
  }
  order.overhead_tokens = overhead;
  order.max_side_tokens = static_cast<size_t>(model.max_positions) - overhead;
  PackOptions pack;
  pack.seed = config.seed;
  pack.schedule = config.schedule;
  std::vector<MicroBatch> batches;
  int64_t rows = 0;
  for (const std::vector<uint32_t>& indices : PlanEpoch(samples, order, 0)) {
    if (rows >= config.router.calibration_rows) break;
    std::vector<const Sample*> batch;
    for (const uint32_t index : indices) batch.push_back(&samples[index]);
    batches.push_back(Pack(batch, layouts, pack));
    rows += batches.back().tokens;
  }
  if (batches.empty()) return absl::InvalidArgumentError("no held-out sample fits into a batch");
  return batches;
}

}  // namespace

absl::StatusOr<std::optional<Router>> StartingRouter(const TrainConfig& config,
                                                     const ModelConfig& model,
                                                     const std::string& base_digest) {
  if (config.stage == "sft") return std::optional<Router>();
  if (config.stage == "router") {
    for (const int64_t layer : config.router.exempt_layers.value_or(std::vector<int64_t>())) {
      if (layer >= model.num_layers) {
        return absl::InvalidArgumentError(absl::StrCat("router.exempt_layers names layer ", layer,
                                                       ", the model has ", model.num_layers));
      }
    }
    return std::optional<Router>(InitRouter(config.router, model, config.seed));
  }
  DRAGOMAN_ASSIGN_OR_RETURN(Router router, ReadRouterFile(config.init_from + "/" + kRouterFileName,
                                                          model, {base_digest}));
  return std::optional<Router>(std::move(router));
}

absl::Status AddCalibratedRouter(const TrainConfig& config,
                                 const std::vector<StreamLayout>& layouts,
                                 const std::vector<Sample>& held_out, Router router,
                                 const std::string& package_folder,
                                 const std::function<void(const std::string&)>& progress) {
  DRAGOMAN_ASSIGN_OR_RETURN(const std::unique_ptr<ModelPackage> package,
                            ModelPackage::Load(package_folder));
  const ModelConfig& model = package->config();
  DRAGOMAN_RETURN_IF_ERROR(GuardTorch("calibration", [&]() -> absl::Status {
    DRAGOMAN_ASSIGN_OR_RETURN(const torch::Device device, ParseDevice(config.device));
    DRAGOMAN_ASSIGN_OR_RETURN(const TransformerWeights weights,
                              LoadWeights(*package, torch::kFloat32, device));
    const RotaryTable rotary(model, model.max_positions, torch::kFloat32, device);
    DRAGOMAN_ASSIGN_OR_RETURN(std::vector<MicroBatch> batches,
                              PackHeldOut(config, layouts, held_out, model));
    for (MicroBatch& batch : batches) batch = batch.To(device);
    RouterTensors tensors = MakeRouterTensors(router, device);
    ForwardOptions forward;
    forward.fused = config.fused && device.is_cpu();
    router.target_rate = {config.router.rho_source, config.router.rho_target};
    DRAGOMAN_ASSIGN_OR_RETURN(const Calibration found,
                              CalibrateThresholds(model, weights, rotary, batches, forward,
                                                  router.target_rate, &tensors, progress));
    router.measured_rate = found.rates;
    for (int64_t g = 0; g < 2; ++g) {
      router.theta[static_cast<size_t>(g)] = tensors.theta[g].item<float>();
    }
    return absl::OkStatus();
  }));
  router.base_digest = package->weights_digest();
  DRAGOMAN_ASSIGN_OR_RETURN(const std::string bytes, SerializeRouter(router));
  PackageManifest manifest = package->manifest();
  manifest.sha256[kRouterFileName] = Sha256Hex(bytes);
  DRAGOMAN_RETURN_IF_ERROR(WriteFileAtomically(package_folder + "/" + kRouterFileName, bytes));
  return WriteFileAtomically(absl::StrCat(package_folder, "/", kManifestFileName),
                             FormatManifest(manifest));
}

}  // namespace dragoman::model
