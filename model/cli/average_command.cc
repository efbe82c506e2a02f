#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "base/status_macros.h"
#include "model/cli/commands.h"
#include "model/package/package_average.h"

namespace dragoman::model {
namespace {

absl::Status RunAverage(const std::vector<std::string>& packages, const std::string& output) {
  DRAGOMAN_RETURN_IF_ERROR(AveragePackages(packages, output));
  std::printf(
      "%s: the mean of %zu packages\n"
      "A router in it is a mean too: calibrate it before it is served (dragoman-model train "
      "--stage calibrate).\nHeads of the policy align-att are chosen anew by dragoman-model "
      "calibrate-heads.\n",
      output.c_str(), packages.size());
  return absl::OkStatus();
}

}  // namespace

void AddAverageCommand(CLI::App* app, CommandBody* body) {
  struct Flags {
    std::vector<std::string> packages;
    std::string output;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app->add_subcommand(
      "average", "Mean of the weights of packages that come from the same weights");
  command->add_option("packages", flags->packages, "Model packages, two or more")->required();
  command->add_option("--output", flags->output, "Package to write")->required();
  command->callback(
      [flags, body] { *body = [flags] { return RunAverage(flags->packages, flags->output); }; });
}

}  // namespace dragoman::model
