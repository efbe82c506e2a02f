#include "server/main/load_model.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "base/status_macros.h"
#include "model/backend/backend_loader.h"
#include "model/engine/engine.h"
#include "model/native/native_backbone.h"
#include "model/package/config_json.h"
#include "model/package/model_package.h"
#include "model/package/router_file.h"
#include "model/policy/policy.h"
#include "model/tokenizer/tokenizer.h"

namespace dragoman::server {
namespace {

absl::StatusOr<std::unique_ptr<model::Backbone>> MakeBackbone(
    const std::string& backend, const model::ModelPackage& package,
    const model::BackendOptions& options) {
  if (backend == "native" || (backend == "auto" && options.device == "cpu")) {
    return model::CreateNativeBackbone(package, options);
  }
  const bool is_path = backend.find('/') != std::string::npos;
  const std::string name = backend == "auto" ? "torch" : backend;
  return model::LoadBackbone(is_path ? backend : "", is_path ? "" : name, package, options);
}

// A router that is there and damaged is an error, never a reason to serve densely.
absl::Status UseRouter(const ServerConfig& config, const model::ModelPackage& package,
                       model::BackendOptions* options, ServedModel* served) {
  // ServerConfig::Validate() has seen it.
  options->router_exec =
      model::ParseRouterExec(config.router_exec).value_or(model::RouterExec::kAuto);
  if (config.router == "off") return absl::OkStatus();
  const std::string path = config.router == "auto"
                               ? absl::StrCat(package.folder(), "/", model::kRouterFileName)
                               : config.router;
  absl::StatusOr<model::Router> router = model::ReadRouterFile(
      path, package.config(), {package.weights_digest(), config.router_allow_base_mismatch});
  if (config.router == "auto" && absl::IsNotFound(router.status())) return absl::OkStatus();
  if (!router.ok()) return router.status();
  served->router = ServedRouter{router->digest, router->base_digest,
                                router->hidden_size > 0 ? "mlp" : "linear", router->measured_rate};
  options->gates = std::make_shared<const model::GateRule>(*std::move(router));
  return absl::OkStatus();
}

// The default policy, and what AlignAtt needs of the package.
absl::Status UsePolicies(const model::ModelPackage& package, ServedModel* served) {
  served->default_policy = package.manifest().default_policy;
  if (package.align_att().has_value()) {
    served->attention_heads = package.align_att()->heads;
    served->align_att_words = static_cast<uint32_t>(package.align_att()->words);
  }
  DRAGOMAN_ASSIGN_OR_RETURN(const std::unique_ptr<const model::Policy> policy,
                            model::ParsePolicy(served->default_policy));
  if (!policy->needs_attention() || !served->attention_heads.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("default_policy ", served->default_policy,
                   " needs attention heads, and the package has no policy.json; "
                   "dragoman-model calibrate-heads makes one"));
}

absl::StatusOr<ModelParts> Load(const ServerConfig& config) {
  DRAGOMAN_ASSIGN_OR_RETURN(std::shared_ptr<model::ModelPackage> package,
                            model::ModelPackage::Load(config.model));
  DRAGOMAN_ASSIGN_OR_RETURN(std::shared_ptr<const model::Tokenizer> tokenizer,
                            model::LoadTokenizer(config.model));
  DRAGOMAN_RETURN_IF_ERROR(
      model::CheckVocabularySize(static_cast<size_t>(tokenizer->vocab_size()), package->config()));
  const model::PackageManifest& manifest = package->manifest();
  ModelParts parts;
  DRAGOMAN_RETURN_IF_ERROR(UsePolicies(*package, &parts.model));
  parts.end_of_target = manifest.end_of_target;
  parts.model.name = manifest.name;
  parts.model.digest = package->weights_digest();
  parts.model.description = manifest.description;
  parts.model.license = manifest.license;
  parts.model.source_language = manifest.source_language;
  parts.model.max_positions = package->config().max_positions;
  parts.model.is_default = true;
  parts.model.tokenizer = std::move(tokenizer);
  for (const std::string& target : manifest.target_languages) {
    DRAGOMAN_ASSIGN_OR_RETURN(parts.model.layouts[target],
                              package->Layout(manifest.source_language, target));
  }

  model::BackendOptions options;
  options.device = config.device;
  options.compute =
      config.compute == "bfloat16" ? model::ComputeType::kBfloat16 : model::ComputeType::kFloat32;
  options.weights = model::ParseWeightType(config.weights);  // "auto": nothing
  options.num_threads = static_cast<int>(config.threads);
  DRAGOMAN_RETURN_IF_ERROR(UseRouter(config, *package, &options, &parts.model));
  // Both sides of every slot at the position limit.
  const auto rows = static_cast<int32_t>(package->config().max_positions);
  options.max_pages =
      config.kv_pages != 0 ? config.kv_pages : model::PagesForSlots(config.slots, rows, rows);
  DRAGOMAN_ASSIGN_OR_RETURN(parts.backbone, MakeBackbone(config.backend, *package, options));
  parts.model.files = std::move(package);
  return parts;
}

}  // namespace

absl::StatusOr<ModelParts> LoadModelParts(const ServerConfig& config) {
  absl::StatusOr<ModelParts> parts = Load(config);
  if (!parts.ok()) return AddContext(parts.status(), "model " + config.model);
  return parts;
}

}  // namespace dragoman::server
