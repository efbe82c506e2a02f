#include "model/cli/open_model.h"

#include "base/status_macros.h"
#include "model/engine/token_traits.h"
#include "model/native/native_backbone.h"
#include "model/package/config_json.h"
#include "model/package/router_file.h"
#include "model/torch/torch_backbone.h"

namespace dragoman::model {

absl::StatusOr<std::unique_ptr<Backbone>> MakeBackbone(const std::string& backend,
                                                       const ModelPackage& package,
                                                       const BackendOptions& options) {
  if (backend == "native" || (backend == "auto" && options.device == "cpu")) {
    return CreateNativeBackbone(package, options);
  }
  if (backend == "torch" || backend == "auto") return CreateTorchBackbone(package, options);
  return absl::InvalidArgumentError(
      absl::StrCat("backend \"", backend, "\" is unknown; use auto, native or torch"));
}

absl::StatusOr<std::shared_ptr<const GateRule>> LoadRouter(const ModelPackage& package,
                                                           const std::string& path) {
  const std::string file =
      path.empty() ? absl::StrCat(package.folder(), "/", kRouterFileName) : path;
  absl::StatusOr<Router> router =
      ReadRouterFile(file, package.config(), {package.weights_digest()});
  if (path.empty() && absl::IsNotFound(router.status())) {
    return absl::NotFoundError(absl::StrCat(
        package.folder(), " has no router (", kRouterFileName,
        "): train one with dragoman-model train --config model/recipes/router.json, or put the "
        "router of these weights into the package"));
  }
  if (!router.ok()) return router.status();
  return std::make_shared<const GateRule>(*std::move(router));
}

std::shared_ptr<const GateRule> RandomRule(double rate, int64_t num_layers) {
  RandomGates gates;
  gates.attention_rate = gates.mlp_rate = {rate, rate};
  gates.exempt.assign(static_cast<size_t>(num_layers), 0);
  if (num_layers <= 12) gates.exempt[0] = 1;
  return std::make_shared<const GateRule>(std::move(gates));
}

absl::StatusOr<OpenedModel> OpenModel(const OpenModelOptions& options, Clock* clock) {
  BackendOptions backend;
  backend.device = options.device;
  backend.num_threads = options.threads;
  if (options.compute == "bfloat16") {
    backend.compute = ComputeType::kBfloat16;
  } else if (options.compute != "float32") {
    return absl::InvalidArgumentError(
        absl::StrCat("compute \"", options.compute, "\" is unknown; use float32 or bfloat16"));
  }
  if (!options.weights.empty()) {
    backend.weights = ParseWeightType(options.weights);
    if (!backend.weights.has_value()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "weights \"", options.weights, "\" are unknown; use fp32, bf16, int8 or int4"));
    }
  }
  OpenedModel model;
  DRAGOMAN_ASSIGN_OR_RETURN(model.package, ModelPackage::Load(options.folder));
  DRAGOMAN_ASSIGN_OR_RETURN(model.tokenizer, LoadTokenizer(options.folder));
  const PackageManifest& manifest = model.package->manifest();
  backend.record_scores = options.record_gates;
  if (options.random_skip > 0) {
    backend.gates = RandomRule(options.random_skip, model.package->config().num_layers);
  } else if (options.theta > 0) {
    DRAGOMAN_ASSIGN_OR_RETURN(backend.gates, LoadRouter(*model.package, options.router));
  }
  DRAGOMAN_RETURN_IF_ERROR(CheckVocabularySize(static_cast<size_t>(model.tokenizer->vocab_size()),
                                               model.package->config()));
  backend.max_pages =
      PagesForSlots(options.slots, manifest.max_positions, manifest.max_positions - manifest.phi);
  DRAGOMAN_ASSIGN_OR_RETURN(std::unique_ptr<Backbone> backbone,
                            MakeBackbone(options.backend, *model.package, backend));
  model.gates = backend.gates;
  if (options.record_gates) {
    model.recorder = std::make_unique<GateRecorder>(backbone->config());
    backbone = model.recorder->Watch(std::move(backbone));
  }
  EngineOptions engine;
  engine.max_sequences = options.slots;
  if (model.package->align_att().has_value()) {
    engine.attention_heads = model.package->align_att()->heads;
  }
  DRAGOMAN_ASSIGN_OR_RETURN(
      model.engine,
      Engine::Create(engine, std::move(backbone),
                     MakeTokenTraits(*model.tokenizer, model.package->config().vocab_size,
                                     manifest.end_of_target),
                     clock, nullptr));
  return model;
}

}  // namespace dragoman::model
