// Subcommands of dragoman-model. Each adds itself to the parser; its body runs after parsing and
// returns the exit code: 0 done, 1 failed, 2 usage.
#pragma once

#include <functional>
#include <string>

#include "CLI/CLI.hpp"
#include "base/status.h"

namespace dragoman::model {

// What a parsed subcommand runs.
using CommandBody = std::function<absl::Status()>;

void AddPrepareCommand(CLI::App* app, CommandBody* body);
void AddTrainCommand(CLI::App* app, CommandBody* body);
void AddAverageCommand(CLI::App* app, CommandBody* body);
void AddEvaluateCommand(CLI::App* app, CommandBody* body);
// Two: reproduce and reproduce-table.
void AddReproduceCommands(CLI::App* app, CommandBody* body);
void AddPlotCommand(CLI::App* app, CommandBody* body);
void AddScoreCommand(CLI::App* app, CommandBody* body);
void AddInspectCommand(CLI::App* app, CommandBody* body);
void AddInspectSkipCommand(CLI::App* app, CommandBody* body);
void AddImportRouterCommand(CLI::App* app, CommandBody* body);
void AddCalibrateHeadsCommand(CLI::App* app, CommandBody* body);
void AddCompareCommand(CLI::App* app, CommandBody* body);
void AddBenchCommand(CLI::App* app, CommandBody* body);
void AddBenchEngineCommand(CLI::App* app, CommandBody* body);
void AddBenchStreamingCommand(CLI::App* app, CommandBody* body);
void AddBenchReadCommand(CLI::App* app, CommandBody* body);

}  // namespace dragoman::model
