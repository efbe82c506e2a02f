#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "model/cli/commands.h"
#include "model/cli/open_model.h"
#include "model/corpus/corpus_reader.h"
#include "model/evaluate/corpus_translation.h"
#include "model/evaluate/skip_heat_map.h"
#include "model/evaluate/skip_report.h"
#include "model/evaluate/token_classes.h"
#include "model/routing/skip_dial.h"
#include "model/tokenizer/unicode_text.h"

namespace dragoman::model {
namespace {

struct InspectSkipFlags {
  OpenModelOptions model;
  std::vector<std::string> inputs;
  std::string policy = "wait-k:3", json, csv, svg;
  size_t limit = 100, stream = 1;
};

// Sources by target language, at most `limit` pairs of each file.
using Sources = std::map<std::string, std::vector<std::string>>;
absl::StatusOr<Sources> ReadSources(const InspectSkipFlags& flags,
                                    const std::string& source_language) {
  Sources sources;
  for (const std::string& file : flags.inputs) {
    size_t read = 0;
    DRAGOMAN_RETURN_IF_ERROR(ReadPairs(file, source_language, [&](SentencePair pair) {
      if (flags.limit > 0 && read >= flags.limit) return;
      ++read;
      sources[pair.target_language].push_back(std::move(pair.source));
    }));
  }
  if (sources.empty()) return absl::InvalidArgumentError("--input holds no pair");
  return sources;
}

// Translates all sources under the router; the recorder of `model` has seen it then.
absl::Status RunStreams(const InspectSkipFlags& flags, const Sources& sources,
                        const std::shared_ptr<const Policy>& policy, const OpenedModel& model) {
  CorpusTranslationOptions options;
  options.source_language = model.package->manifest().source_language;
  options.policy = policy;
  options.routed = true;
  options.skip_offset = SkipOffsetOf(flags.model.theta);
  for (const auto& [language, lines] : sources) {
    DRAGOMAN_ASSIGN_OR_RETURN(options.layout,
                              model.package->Layout(options.source_language, language));
    model.recorder->set_header_rows(static_cast<int32_t>(options.layout.target_header.size()));
    DRAGOMAN_ASSIGN_OR_RETURN(
        const std::vector<TranslatedLine> translated,
        TranslateCorpus(model.engine.get(), *model.tokenizer, lines, options));
    for (const TranslatedLine& line : translated) DRAGOMAN_RETURN_IF_ERROR(line.status);
  }
  return absl::OkStatus();
}

SkipReport MakeReport(const InspectSkipFlags& flags, const OpenedModel& model,
                      const std::string& policy) {
  const Router& router = std::get<Router>(*model.gates);
  SkipReport report;
  report.model = model.package->manifest().name;
  report.policy = policy;
  report.router_digest = router.digest;
  report.router_kind = router.hidden_size > 0 ? "mlp" : "linear";
  report.calibrated_rates = router.measured_rate;
  report.theta = flags.model.theta;
  report.streams = model.recorder->streams().size();
  report.rates = RatesOf(model.recorder->statistics());
  report.inspection = Inspect(model.recorder->streams(), router,
                              ClassifyTokens(*model.tokenizer, model.package->config().vocab_size));
  return report;
}

// Text of a token as it stands in a sentence; the id of a token that has none.
std::string TokenText(const Tokenizer& tokenizer, TokenId id) {
  const std::string text = ReplaceBrokenUtf8(tokenizer.TokenBytes(id));
  return text.empty() ? absl::StrCat("#", id) : text;
}

absl::Status WriteTo(const std::string& path, const std::string& text) {
  if (path != "-") return WriteFileAtomically(path, text);
  std::printf("%s", text.c_str());
  return absl::OkStatus();
}

absl::Status RunInspectSkip(const InspectSkipFlags& flags) {
  DRAGOMAN_ASSIGN_OR_RETURN(const std::shared_ptr<const Policy> policy, ParsePolicy(flags.policy));
  SystemClock clock;
  DRAGOMAN_ASSIGN_OR_RETURN(const OpenedModel model, OpenModel(flags.model, &clock));
  DRAGOMAN_ASSIGN_OR_RETURN(const Sources sources,
                            ReadSources(flags, model.package->manifest().source_language));
  size_t streams = 0;
  for (const auto& [language, lines] : sources) streams += lines.size();
  if (flags.stream < 1 || flags.stream > streams) {
    return absl::InvalidArgumentError(
        absl::StrCat("--stream ", flags.stream, ", allowed 1 to ", streams));
  }
  DRAGOMAN_RETURN_IF_ERROR(RunStreams(flags, sources, policy, model));
  const SkipReport report = MakeReport(flags, model, policy->name());
  if (!flags.json.empty()) {
    DRAGOMAN_RETURN_IF_ERROR(WriteTo(flags.json, DumpJson(ToJson(report), 2) + "\n"));
  }
  if (!flags.csv.empty()) DRAGOMAN_RETURN_IF_ERROR(WriteTo(flags.csv, ToCsv(report)));
  if (!flags.svg.empty()) {
    const std::string title = absl::StrCat(report.model, ", ", report.policy, ", theta ",
                                           report.theta, ", stream ", flags.stream);
    DRAGOMAN_RETURN_IF_ERROR(WriteTo(
        flags.svg, DrawSkipHeatMap(
                       model.recorder->streams()[flags.stream - 1], report.inspection,
                       [&](TokenId id) { return TokenText(*model.tokenizer, id); }, title)));
  }
  // Standard output holds one thing.
  if (flags.json != "-" && flags.csv != "-" && flags.svg != "-") {
    std::printf("%s", ToText(report).c_str());
  }
  return absl::OkStatus();
}

}  // namespace

void AddInspectSkipCommand(CLI::App* app, CommandBody* body) {
  auto flags = std::make_shared<InspectSkipFlags>();
  flags->model.backend = "native";
  flags->model.theta = 1;
  flags->model.record_gates = true;
  CLI::App* command = app->add_subcommand(
      "inspect-skip", "Which rows skip which modules: tables and a picture of real streams");
  command->add_option("--model", flags->model.folder, "Model package")->required();
  command->add_option("--router", flags->model.router, "Router file; left out: the package's");
  command->add_option("--input", flags->inputs, "Pairs, .tsv or .jsonl, also .xz; several files")
      ->required();
  command->add_option("--policy", flags->policy, std::string(KnownPolicies()))
      ->capture_default_str();
  command->add_option("--limit", flags->limit, "Pairs of each file; 0: all")->capture_default_str();
  command
      ->add_option("--theta", flags->model.theta,
                   "Skip dial, above 0; 1 as the router was calibrated")
      ->capture_default_str()
      ->check(CLI::Range(1e-4, 1.0));
  command->add_option("--weights", flags->model.weights,
                      "fp32, bf16, int8 or int4; left out: as the package has them");
  command->add_option("--threads", flags->model.threads, "0: the library's choice")
      ->capture_default_str();
  command->add_option("--batch", flags->model.slots, "Streams in work at a time")
      ->capture_default_str()
      ->check(CLI::Range(1, 4096));
  command->add_option("--json", flags->json, "JSON file; - for standard output");
  command->add_option("--csv", flags->csv, "CSV file; - for standard output");
  command->add_option("--svg", flags->svg, "Heat maps as an SVG file; - for standard output");
  command
      ->add_option("--stream", flags->stream, "Stream of the heat map, from 1, by target language")
      ->capture_default_str();
  command->callback([flags, body] { *body = [flags] { return RunInspectSkip(*flags); }; });
}

}  // namespace dragoman::model
