#include "model/train/router_run.h"

#include <algorithm>
#include <array>
#include <memory>
#include <utility>

#include "base/status_macros.h"
#include "model/corpus/sample_stream.h"
#include "model/package/model_package.h"
#include "model/package/package_writer.h"
#include "model/package/router_file.h"
#include "model/torch/device.h"
#include "model/torch/torch_guard.h"
#include "model/train/held_out.h"
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

// A package and held-out batches on the device.
struct HeldOutRun {
  ModelConfig model;
  torch::Device device = torch::kCPU;
  TransformerWeights weights;
  RotaryTable rotary;
  std::vector<MicroBatch> batches;
  ForwardOptions forward;
};

absl::StatusOr<HeldOutRun> PrepareHeldOut(const TrainConfig& config,
                                          const std::vector<StreamLayout>& layouts,
                                          const std::vector<Sample>& held_out,
                                          const ModelPackage& package) {
  HeldOutRun run;
  run.model = package.config();
  DRAGOMAN_ASSIGN_OR_RETURN(run.device, ParseDevice(config.device));
  DRAGOMAN_ASSIGN_OR_RETURN(run.weights, LoadWeights(package, torch::kFloat32, run.device));
  run.rotary = RotaryTable(run.model, run.model.max_positions, torch::kFloat32, run.device);
  DRAGOMAN_ASSIGN_OR_RETURN(run.batches, PackHeldOut(config, layouts, held_out, run.model));
  for (MicroBatch& batch : run.batches) batch = batch.To(run.device);
  // As in training; calibration is dozens of passes.
  run.forward.fused = config.fused && run.device.is_cpu();
  run.forward.bfloat16_products = config.bfloat16;
  run.forward.bfloat16_activations = config.bfloat16 && !run.device.is_cpu();
  return run;
}

absl::StatusOr<Router> PrunedRouter(const TrainConfig& config, const HeldOutRun& run,
                                    const std::function<void(const std::string&)>& progress) {
  DRAGOMAN_ASSIGN_OR_RETURN(const PruneMethod method, ParsePruneMethod(config.router.prune_method));
  const ModuleImportance importance =
      MeasureImportance(run.model, run.weights, run.rotary, run.batches, run.forward);
  const std::vector<uint8_t> exempt = ExemptLayers(config.router, run.model);
  DRAGOMAN_ASSIGN_OR_RETURN(
      const std::vector<uint8_t> gates,
      ChoosePrunedModules(method, importance, run.model, config.router.rho_source, exempt));
  for (size_t l = 0; l < gates.size(); ++l) {
    progress(absl::StrFormat(
        "layer %d: importance %.4f, attention %.4f%s, mlp %.4f%s", l, importance.layers[l],
        importance.modules[2 * l], (gates[l] & kRunAttention) != 0 ? "" : " dropped",
        importance.modules[2 * l + 1], (gates[l] & kRunMlp) != 0 ? "" : " dropped"));
  }
  Router router = ConstantRouter(run.model, gates);
  router.exempt = exempt;
  for (size_t l = 0; l < gates.size(); ++l) {
    if (gates[l] != kRunBoth) router.exempt[l] = 0;
  }
  return router;
}

// Prints what the gates cost beside the dense model and random gates; the rates of the gates.
std::array<double, 2> ReportHeldOut(const HeldOutRun& run, const RouterTensors& tensors,
                                    uint64_t seed,
                                    const std::function<void(const std::string&)>& progress) {
  const auto measure = [&](const MakeGatesFn& make_gates) {
    return MeasureHeldOut(run.model, run.weights, run.rotary, run.batches, run.forward, make_gates);
  };
  const HeldOutResult dense = measure({});
  const HeldOutResult routed = measure([&](const MicroBatch& batch) {
    return RowGates::Deterministic(tensors, run.model, batch.form.groups);
  });
  torch::manual_seed(seed);
  const HeldOutResult random = measure([&](const MicroBatch& batch) {
    return RowGates::Random(tensors, run.model, batch.form.groups, routed.rates);
  });
  progress(absl::StrFormat(
      "held-out loss per label: %.4f dense, %.4f at rates %.3f and %.3f, %.4f with random gates of "
      "rates %.3f and %.3f",
      dense.loss, routed.loss, routed.rates[0], routed.rates[1], random.loss, random.rates[0],
      random.rates[1]));
  return routed.rates;
}

// Gate bytes of the modules that next to no row runs.
absl::StatusOr<std::vector<uint8_t>> NeverRun(const std::array<std::vector<double>, 2>& skipped) {
  std::vector<uint8_t> dropped(skipped[0].size() / 2);
  for (size_t i = 0; i < skipped[0].size(); ++i) {
    if (skipped[0][i] < kStaticSkipRate || skipped[1][i] < kStaticSkipRate) continue;
    dropped[i / 2] |= i % 2 == 0 ? kRunAttention : kRunMlp;
  }
  if (std::all_of(dropped.begin(), dropped.end(), [](uint8_t byte) { return byte == 0; })) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "no module is skipped by %.1f %% of source and of target rows: nothing to leave out",
        100 * kStaticSkipRate));
  }
  return dropped;
}

}  // namespace

absl::StatusOr<std::optional<Router>> StartingRouter(const TrainConfig& config,
                                                     const ModelConfig& model,
                                                     const std::string& base_digest) {
  for (const int64_t layer : config.router.exempt_layers.value_or(std::vector<int64_t>())) {
    if (layer >= model.num_layers) {
      return absl::InvalidArgumentError(absl::StrCat("router.exempt_layers names layer ", layer,
                                                     ", the model has ", model.num_layers));
    }
  }
  if (config.stage == "sft" || config.stage == "prune") return std::optional<Router>();
  if (config.stage == "router" || config.stage == "mod") {
    Router router = InitRouter(config.router, model, config.seed);
    if (config.stage == "mod") router.exempt.front() = router.exempt.back() = 1;
    return std::optional<Router>(std::move(router));
  }
  DRAGOMAN_ASSIGN_OR_RETURN(Router router, ReadRouterFile(config.init_from + "/" + kRouterFileName,
                                                          model, {base_digest}));
  return std::optional<Router>(std::move(router));
}

absl::Status AddCalibratedRouter(const TrainConfig& config,
                                 const std::vector<StreamLayout>& layouts,
                                 const std::vector<Sample>& held_out, Router router,
                                 const std::string& package_folder,
                                 const std::function<void(const std::string&)>& progress,
                                 const std::atomic<bool>* stop) {
  DRAGOMAN_ASSIGN_OR_RETURN(const std::unique_ptr<ModelPackage> package,
                            ModelPackage::Load(package_folder));
  DRAGOMAN_RETURN_IF_ERROR(GuardTorch("calibration", [&]() -> absl::Status {
    DRAGOMAN_ASSIGN_OR_RETURN(const HeldOutRun run,
                              PrepareHeldOut(config, layouts, held_out, *package));
    if (config.stage == "prune") {
      DRAGOMAN_ASSIGN_OR_RETURN(router, PrunedRouter(config, run, progress));
    }
    RouterTensors tensors = MakeRouterTensors(router, run.device);
    router.target_rate = {config.router.rho_source, config.router.rho_target};
    if (router.noise != kNothingToCalibrate) {
      DRAGOMAN_RETURN_IF_ERROR(CalibrateThresholds(run.model, run.weights, run.rotary, run.batches,
                                                   run.forward, router.target_rate, &tensors,
                                                   progress, stop)
                                   .status());
    }
    for (int64_t g = 0; g < 2; ++g) {
      router.theta[static_cast<size_t>(g)] = tensors.theta[g].item<float>();
    }
    router.measured_rate = ReportHeldOut(run, tensors, config.seed, progress);
    return absl::OkStatus();
  }));
  return PutRouter(*package, std::move(router));
}

absl::Status ReportMixtureOfDepths(const TrainConfig& config,
                                   const std::vector<StreamLayout>& layouts,
                                   const std::vector<Sample>& held_out, const Router& router,
                                   const std::function<void(const std::string&)>& progress,
                                   const std::atomic<bool>* stop) {
  DRAGOMAN_ASSIGN_OR_RETURN(const std::unique_ptr<ModelPackage> package,
                            ModelPackage::Load(config.init_from));
  return GuardTorch("mixture of depths", [&]() -> absl::Status {
    DRAGOMAN_ASSIGN_OR_RETURN(const HeldOutRun run,
                              PrepareHeldOut(config, layouts, held_out, *package));
    RouterTensors tensors = MakeRouterTensors(router, run.device);
    tensors.scale_outputs = true;
    const std::array<double, 2> rates = {config.router.rho_source, config.router.rho_target};
    const auto measure = [&](const MakeGatesFn& make_gates) {
      return MeasureHeldOut(run.model, run.weights, run.rotary, run.batches, run.forward,
                            make_gates);
    };
    const HeldOutResult dense = measure({});
    const HeldOutResult top = measure([&](const MicroBatch& batch) {
      return RowGates::TopRows(tensors, run.model, batch.form.groups, batch.form.columns, rates);
    });
    DRAGOMAN_RETURN_IF_ERROR(CalibrateThresholds(run.model, run.weights, run.rotary, run.batches,
                                                 run.forward, rates, &tensors, progress, stop)
                                 .status());
    const HeldOutResult causal = measure([&](const MicroBatch& batch) {
      return RowGates::Deterministic(tensors, run.model, batch.form.groups);
    });
    progress(absl::StrFormat(
        "held-out loss per label: %.4f dense, %.4f by the highest scores of a sample at rates %.3f "
        "and %.3f, %.4f by thresholds at rates %.3f and %.3f",
        dense.loss, top.loss, top.rates[0], top.rates[1], causal.loss, causal.rates[0],
        causal.rates[1]));
    return absl::OkStatus();
  });
}

absl::StatusOr<StaticModel> MakeStaticModel(
    const TrainConfig& config, const std::vector<StreamLayout>& layouts,
    const std::vector<Sample>& held_out, const Router& router,
    const std::function<void(const std::string&)>& progress) {
  DRAGOMAN_ASSIGN_OR_RETURN(const std::unique_ptr<ModelPackage> package,
                            ModelPackage::Load(config.init_from));
  return GuardTorchOr<StaticModel>("static export", [&]() -> absl::StatusOr<StaticModel> {
    DRAGOMAN_ASSIGN_OR_RETURN(const HeldOutRun run,
                              PrepareHeldOut(config, layouts, held_out, *package));
    const auto measure = [&](const ModelConfig& model, const TransformerWeights& weights,
                             const Router* gates) {
      if (gates == nullptr) {
        return MeasureHeldOut(model, weights, run.rotary, run.batches, run.forward, {});
      }
      const RouterTensors tensors = MakeRouterTensors(*gates, run.device);
      return MeasureHeldOut(model, weights, run.rotary, run.batches, run.forward,
                            [&](const MicroBatch& batch) {
                              return RowGates::Deterministic(tensors, model, batch.form.groups);
                            });
    };
    const HeldOutResult routed = measure(run.model, run.weights, &router);
    DRAGOMAN_ASSIGN_OR_RETURN(const std::vector<uint8_t> dropped, NeverRun(routed.skipped));
    StaticModel pruned = DropModules(run.model, run.weights, router, dropped);
    const HeldOutResult after = measure(pruned.config, pruned.weights,
                                        pruned.router.has_value() ? &*pruned.router : nullptr);
    progress(absl::StrFormat(
        "%d layers and %d parameters of %d and %d are left; held-out loss per label %.4f, was %.4f",
        pruned.config.num_layers, pruned.config.ParameterCount(), run.model.num_layers,
        run.model.ParameterCount(), after.loss, routed.loss));
    if (!(after.loss - routed.loss <= config.router.export_loss)) {
      return absl::FailedPreconditionError(absl::StrFormat(
          "without the modules that the router never runs the held-out loss rises by %.4f nat, "
          "allowed is %.2f: forced rows (prompt, header, first rows) need them; a larger "
          "router.export_loss writes the model all the same, to be trained on (stage sft)",
          after.loss - routed.loss, config.router.export_loss));
    }
    return pruned;
  });
}

}  // namespace dragoman::model
