#include <cstdio>
#include <memory>

#include "base/json.h"
#include "base/status_macros.h"
#include "model/cli/commands.h"
#include "model/package/model_package.h"

namespace dragoman::model {
namespace {

absl::Status RunInspect(const std::string& folder, bool json) {
  DRAGOMAN_ASSIGN_OR_RETURN(const std::unique_ptr<ModelPackage> package,
                            ModelPackage::Load(folder));
  const ModelConfig& config = package->config();
  const PackageManifest& manifest = package->manifest();
  Json facts = Json::object();
  facts["name"] = manifest.name;
  facts["description"] = manifest.description;
  facts["license"] = manifest.license;
  facts["architecture"] = ArchitectureName(config.architecture);
  facts["parameters"] = config.ParameterCount();
  facts["layers"] = config.num_layers;
  facts["hidden_size"] = config.hidden_size;
  facts["heads"] = config.num_heads;
  facts["kv_heads"] = config.num_kv_heads;
  facts["head_dim"] = config.head_dim;
  facts["ffn_size"] = config.ffn_size;
  facts["vocab_size"] = config.vocab_size;
  facts["max_positions"] = manifest.max_positions;
  facts["phi"] = manifest.phi;
  facts["source_language"] = manifest.source_language;
  facts["target_languages"] = manifest.target_languages;
  facts["default_policy"] = manifest.default_policy;
  facts["weights_digest"] = package->weights_digest();
  if (json) {
    std::printf("%s\n", DumpJson(facts, 2).c_str());
    return absl::OkStatus();
  }
  for (const auto& [name, value] : facts.items()) {
    const std::string text = value.is_string() ? value.get<std::string>() : DumpJson(value);
    std::printf("%-18s %s\n", name.c_str(), text.c_str());
  }
  return absl::OkStatus();
}

}  // namespace

void AddInspectCommand(CLI::App* app, CommandBody* body) {
  struct Flags {
    std::string model;
    bool json = false;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app->add_subcommand("inspect", "Check a package and print what it is");
  command->add_option("--model", flags->model, "Model package")->required();
  command->add_flag("--json", flags->json, "One JSON object on standard output");
  command->callback(
      [flags, body] { *body = [flags] { return RunInspect(flags->model, flags->json); }; });
}

}  // namespace dragoman::model
