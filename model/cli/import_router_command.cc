#include <cstdio>
#include <memory>

#include "base/file.h"
#include "base/status_macros.h"
#include "model/cli/commands.h"
#include "model/package/model_package.h"
#include "model/package/router_file.h"
#include "model/package/router_import.h"

namespace dragoman::model {
namespace {

struct ImportRouterFlags {
  std::string router, model, output, source, license;
};

absl::Status RunImportRouter(const ImportRouterFlags& flags) {
  DRAGOMAN_ASSIGN_OR_RETURN(const std::unique_ptr<ModelPackage> package,
                            ModelPackage::Load(flags.model, /*require_manifest=*/false));
  DRAGOMAN_ASSIGN_OR_RETURN(Router router, ImportRouter(flags.router, package->config()));
  router.base_digest = package->weights_digest();
  router.source = flags.source;
  router.license = flags.license;
  DRAGOMAN_ASSIGN_OR_RETURN(const std::string bytes, SerializeRouter(router));
  DRAGOMAN_RETURN_IF_ERROR(WriteFileAtomically(flags.output, bytes));
  std::printf(
      "%s: %s router for %lld layers of width %lld\n"
      "Its thresholds are 0 and its rates unknown: calibrate it before it is served\n"
      "(put it into the package as %s, then dragoman-model train --stage calibrate).\n",
      flags.output.c_str(), router.hidden_size > 0 ? "mlp" : "linear",
      static_cast<long long>(router.num_layers), static_cast<long long>(router.width),
      kRouterFileName);
  return absl::OkStatus();
}

}  // namespace

void AddImportRouterCommand(CLI::App* app, CommandBody* body) {
  auto flags = std::make_shared<ImportRouterFlags>();
  CLI::App* command = app->add_subcommand(
      "import-router", "A SkipGPT router (safetensors) as a router file for a model");
  command->add_option("--router", flags->router, "State dict with router_attention and router_mlp")
      ->required();
  command->add_option("--model", flags->model, "Package or Hugging Face folder that it belongs to")
      ->required();
  command->add_option("--output", flags->output, "Router file to write")->required();
  command->add_option("--source", flags->source, "Where it comes from, for the file");
  command->add_option("--license", flags->license, "Its license, for the file");
  command->callback([flags, body] { *body = [flags] { return RunImportRouter(*flags); }; });
}

}  // namespace dragoman::model
