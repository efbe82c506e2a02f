// dragoman-model: prepare data, train, evaluate, score, inspect and measure models.
#include <cstdio>

#include "model/cli/commands.h"

int main(int argc, char** argv) {
  using namespace dragoman::model;  // NOLINT: this is the whole program
  CLI::App app("Dragoman models: prepare, train, evaluate, score, inspect, bench",
               "dragoman-model");
  app.set_version_flag("--version", std::string("dragoman-model ") + DRAGOMAN_VERSION);
  app.require_subcommand(1);
  CommandBody body;
  AddPrepareCommand(&app, &body);
  AddTrainCommand(&app, &body);
  AddAverageCommand(&app, &body);
  AddEvaluateCommand(&app, &body);
  AddReproduceCommands(&app, &body);
  AddPlotCommand(&app, &body);
  AddScoreCommand(&app, &body);
  AddInspectCommand(&app, &body);
  AddInspectSkipCommand(&app, &body);
  AddImportRouterCommand(&app, &body);
  AddCalibrateHeadsCommand(&app, &body);
  AddCompareCommand(&app, &body);
  AddBenchCommand(&app, &body);
  AddBenchEngineCommand(&app, &body);
  AddBenchStreamingCommand(&app, &body);
  AddBenchReadCommand(&app, &body);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  const absl::Status status = body();
  if (status.ok()) return 0;
  std::fprintf(stderr, "dragoman-model: %s\n", std::string(status.message()).c_str());
  return absl::IsInvalidArgument(status) ? 2 : 1;
}
