#include "model/cli/open_model.h"

#include "base/status_macros.h"
#include "model/engine/token_traits.h"
#include "model/native/native_backbone.h"
#include "model/package/config_json.h"
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
  DRAGOMAN_RETURN_IF_ERROR(CheckVocabularySize(static_cast<size_t>(model.tokenizer->vocab_size()),
                                               model.package->config()));
  backend.max_pages =
      PagesForSlots(options.slots, manifest.max_positions, manifest.max_positions - manifest.phi);
  DRAGOMAN_ASSIGN_OR_RETURN(std::unique_ptr<Backbone> backbone,
                            MakeBackbone(options.backend, *model.package, backend));
  EngineOptions engine;
  engine.max_sequences = options.slots;
  DRAGOMAN_ASSIGN_OR_RETURN(
      model.engine,
      Engine::Create(engine, std::move(backbone),
                     MakeTokenTraits(*model.tokenizer, model.package->config().vocab_size,
                                     manifest.end_of_target),
                     clock, nullptr));
  return model;
}

}  // namespace dragoman::model
