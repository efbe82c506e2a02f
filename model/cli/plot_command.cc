#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/status_macros.h"
#include "model/cli/commands.h"
#include "model/evaluate/lag_plot.h"

namespace dragoman::model {
namespace {

struct PlotFlags {
  std::vector<std::string> results;
  std::string output, title = "Quality against lag", lag = "laal";
};

absl::Status RunPlot(const PlotFlags& flags) {
  const LagMeasure measure = flags.lag == "al" ? LagMeasure::kAl : LagMeasure::kLaal;
  std::vector<LagPoint> points;
  for (const std::string& file : flags.results) {
    DRAGOMAN_ASSIGN_OR_RETURN(const std::string text, ReadFile(file));
    DRAGOMAN_ASSIGN_OR_RETURN(const std::vector<LagPoint> read, ReadLagPoints(file, text, measure));
    points.insert(points.end(), read.begin(), read.end());
  }
  DRAGOMAN_ASSIGN_OR_RETURN(const std::string svg, DrawLagPlot(points, measure, flags.title));
  if (flags.output == "-") {
    std::printf("%s", svg.c_str());
    return absl::OkStatus();
  }
  return WriteFileAtomically(flags.output, svg);
}

}  // namespace

void AddPlotCommand(CLI::App* app, CommandBody* body) {
  auto flags = std::make_shared<PlotFlags>();
  CLI::App* command = app->add_subcommand("plot", "Quality against lag as an SVG picture");
  command
      ->add_option("results", flags->results,
                   "Files with the output of evaluate --json, one or more objects each")
      ->required();
  command->add_option("--output", flags->output, "SVG file; - for standard output")->required();
  command->add_option("--title", flags->title, "Title")->capture_default_str();
  command->add_option("--lag", flags->lag, "Horizontal axis")
      ->check(CLI::IsMember({"laal", "al"}))
      ->capture_default_str();
  command->callback([=] { *body = [=] { return RunPlot(*flags); }; });
}

}  // namespace dragoman::model
