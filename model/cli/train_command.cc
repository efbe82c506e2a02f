#include <atomic>
#include <csignal>
#include <cstdio>
#include <memory>

#include "base/status_macros.h"
#include "model/cli/commands.h"
#include "model/train/run.h"

namespace dragoman::model {
namespace {

// Written by the signal handler only.
std::atomic<bool> stop_requested{false};

absl::Status RunTrain(const std::string& config_path, const std::string& output,
                      const std::string& init_from, const std::string& stage,
                      const std::string& device, const std::vector<std::string>& overrides,
                      int64_t max_steps, bool export_only, bool float32) {
  DRAGOMAN_ASSIGN_OR_RETURN(TrainConfig config, ReadTrainConfig(config_path, overrides));
  if (!output.empty()) config.output = output;
  if (!init_from.empty()) config.init_from = init_from;
  if (!stage.empty()) config.stage = stage;
  if (!device.empty()) config.device = device;
  if (max_steps > 0) config.max_steps = max_steps;
  if (export_only) {
    DRAGOMAN_RETURN_IF_ERROR(ExportRun(config, config.output + "/package", !float32));
    std::printf("%s/package\n", config.output.c_str());
    return absl::OkStatus();
  }
  std::signal(SIGINT, [](int) { stop_requested = true; });
  std::signal(SIGTERM, [](int) { stop_requested = true; });
  SystemClock clock;
  RunOptions options;
  options.clock = &clock;
  options.stop = &stop_requested;
  options.progress = stderr;
  return RunTraining(config, options);
}

}  // namespace

void AddTrainCommand(CLI::App* app, CommandBody* body) {
  CLI::App* command = app->add_subcommand(
      "train", "Train from scratch or fine-tune (full or LoRA) as a config file says; resumes");
  struct Flags {
    std::string config, output, init_from, stage, device;
    std::vector<std::string> overrides;
    int64_t max_steps = 0;
    bool export_only = false, float32 = false;
  };
  auto flags = std::make_shared<Flags>();
  command->add_option("--config", flags->config, "JSON file (docs/formats/train_config.md)")
      ->required();
  command->add_option("--output", flags->output, "Folder of the run, instead of the config's");
  command->add_option("--init-from", flags->init_from,
                      "Package to start from, without optimizer state");
  command
      ->add_option("--stage", flags->stage,
                   "sft, router, lora, adapt, calibrate, prune or export-static, instead of the "
                   "config's")
      ->check(
          CLI::IsMember({"sft", "router", "lora", "adapt", "calibrate", "prune", "export-static"}));
  command->add_option("--device", flags->device, "cpu, cuda or cuda:N, instead of the config's");
  command
      ->add_option("--set", flags->overrides,
                   "field=value or object.field=value, instead of the config's; repeatable")
      ->allow_extra_args(false);
  command->add_option("--max-steps", flags->max_steps, "Steps of the whole run");
  command->add_flag("--export-only", flags->export_only,
                    "Write the package from the newest checkpoints and stop");
  command->add_flag("--float32", flags->float32, "With --export-only: fp32 weights, not bf16");
  command->callback([flags, body] {
    *body = [flags] {
      return RunTrain(flags->config, flags->output, flags->init_from, flags->stage, flags->device,
                      flags->overrides, flags->max_steps, flags->export_only, flags->float32);
    };
  });
}

}  // namespace dragoman::model
