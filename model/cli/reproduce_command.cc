// Decoding under the modes that group positions are compared with, and the table of many such runs
// (streaming.md section 10; scripts/reproduce_group_positions.sh).
#include <algorithm>
#include <filesystem>
#include <memory>

#include "base/clock.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "model/cli/commands.h"
#include "model/corpus/corpus_reader.h"
#include "model/evaluate/evaluation.h"
#include "model/evaluate/run_table.h"
#include "model/train/mode_translation.h"

namespace dragoman::model {
namespace {

struct ReproduceFlags {
  std::string run, pairs, target, positions = "all";
  // One translation of the set each; one k, one system may stand for all.
  std::vector<std::string> inferences = {"group"}, ks, outputs, systems;
  int64_t seed = 0;
  size_t limit = 0;
  ModeTranslationOptions options;
};

struct TestPairs {
  std::vector<std::string> sources, references;
};

absl::StatusOr<TestPairs> ReadTestPairs(const ReproduceFlags& flags,
                                        const std::string& source_language) {
  TestPairs pairs;
  DRAGOMAN_RETURN_IF_ERROR(ReadPairs(flags.pairs, source_language, [&](const SentencePair& pair) {
    if (pair.target_language != flags.target) return;
    if (flags.limit > 0 && pairs.sources.size() >= flags.limit) return;
    pairs.sources.push_back(pair.source);
    pairs.references.push_back(pair.target);
  }));
  if (pairs.sources.empty()) {
    return absl::InvalidArgumentError(flags.pairs + ": has no line of language " + flags.target);
  }
  return pairs;
}

// A package, or the folder of a run that holds one.
std::string PackageFolder(const std::string& folder) {
  std::error_code error;
  const std::string inner = folder + "/package";
  return std::filesystem::exists(inner + "/dragoman.json", error) ? inner : folder;
}

// Of a list with one value for each translation, or one for all.
std::string ValueOf(const std::vector<std::string>& values, size_t translation) {
  return values[values.size() == 1 ? 0 : translation];
}

Json MakeRecord(const ReproduceFlags& flags, size_t translation, const EvaluationReport& report,
                const std::vector<ModeTranslation>& translations, const TestPairs& pairs) {
  Json json = ToJson(report);
  json["system"] = flags.systems.empty() ? report.model : ValueOf(flags.systems, translation);
  json["inference"] = flags.inferences[translation];
  json["positions"] = flags.positions;
  json["seed"] = flags.seed;
  int64_t source_rows = 0, rotated_rows = 0;
  Json hypotheses = Json::array(), delays = Json::array();
  for (const ModeTranslation& translation : translations) {
    source_rows += translation.source_rows;
    rotated_rows += translation.rotated_rows;
    hypotheses.push_back(translation.line.text);
    delays.push_back(translation.line.delays);
  }
  const auto words = static_cast<double>(std::max<int64_t>(1, report.target_words));
  json["source_rows"] = source_rows;
  json["rotated_rows"] = rotated_rows;
  json["rows_per_target_word"] = static_cast<double>(source_rows + report.decode_rows) / words;
  json["target_rows_per_target_word"] = static_cast<double>(report.decode_rows) / words;
  json["hypotheses"] = std::move(hypotheses);
  json["references"] = pairs.references;
  json["delays"] = std::move(delays);
  return json;
}

struct OpenedRun {
  std::unique_ptr<ModelPackage> package;
  std::unique_ptr<Tokenizer> tokenizer;
  TestPairs pairs;
};

absl::Status ReproduceOne(const ReproduceFlags& flags, const OpenedRun& opened,
                          size_t translation) {
  const std::string& inference = flags.inferences[translation];
  const std::string k = ValueOf(flags.ks, translation);
  ModeTranslationOptions options = flags.options;
  DRAGOMAN_ASSIGN_OR_RETURN(options.mode, ParseDecodingMode(inference));
  DRAGOMAN_ASSIGN_OR_RETURN(options.positions, ParseGroupPositions(flags.positions));
  std::string policy = "sentence";
  if (k != "full") {
    policy = "wait-k:" + k;
    DRAGOMAN_RETURN_IF_ERROR(ParsePolicy(policy).status());
    options.k = std::stoll(k);
  }
  SystemClock clock;
  const TimePoint begin = clock.Now();
  DRAGOMAN_ASSIGN_OR_RETURN(const std::vector<ModeTranslation> translations,
                            TranslateUnderMode(*opened.package, *opened.tokenizer, flags.target,
                                               opened.pairs.sources, options));
  std::vector<TranslatedLine> lines;
  for (const ModeTranslation& translation : translations) lines.push_back(translation.line);
  DRAGOMAN_ASSIGN_OR_RETURN(EvaluationReport report,
                            Evaluate(lines, opened.pairs.references, /*bootstrap=*/true));
  report.seconds = std::chrono::duration<double>(clock.Now() - begin).count();
  report.model = opened.package->manifest().name;
  report.source_language = opened.package->manifest().source_language;
  report.target_language = flags.target;
  report.policy = policy;
  const Json record = MakeRecord(flags, translation, report, translations, opened.pairs);
  DRAGOMAN_RETURN_IF_ERROR(WriteFileAtomically(flags.outputs[translation], DumpJson(record, 1)));
  std::printf(
      "%s as %s, %s-%s %s, seed %lld, n %zu: BLEU %.2f [%.2f, %.2f]  chrF2 %.2f  AL %.2f  LAAL "
      "%.2f  rows/word %.2f  %.1f s\n",
      record["system"].get<std::string>().c_str(), inference.c_str(),
      report.source_language.c_str(), report.target_language.c_str(), policy.c_str(),
      static_cast<long long>(flags.seed), report.text.segments, report.text.bleu,
      report.text.bleu_interval.low, report.text.bleu_interval.high, report.text.chrf2, report.al,
      report.laal, record["rows_per_target_word"].get<double>(), report.seconds);
  return absl::OkStatus();
}

absl::Status RunReproduce(const ReproduceFlags& flags) {
  const size_t count = flags.inferences.size();
  const auto fits = [&](const std::vector<std::string>& values) {
    return values.size() == 1 || values.size() == count;
  };
  if (flags.outputs.size() != count || !fits(flags.ks) ||
      !(flags.systems.empty() || fits(flags.systems))) {
    return absl::InvalidArgumentError(
        "give --json for every --inference, and --k and --system once or for every --inference");
  }
  const std::string folder = PackageFolder(flags.run);
  OpenedRun opened;
  DRAGOMAN_ASSIGN_OR_RETURN(opened.package, ModelPackage::Load(folder));
  DRAGOMAN_ASSIGN_OR_RETURN(opened.tokenizer, LoadTokenizer(folder));
  DRAGOMAN_ASSIGN_OR_RETURN(opened.pairs,
                            ReadTestPairs(flags, opened.package->manifest().source_language));
  for (size_t i = 0; i < count; ++i) {
    DRAGOMAN_RETURN_IF_ERROR(ReproduceOne(flags, opened, i));
  }
  return absl::OkStatus();
}

absl::Status RunTable(const std::vector<std::string>& files, const std::string& baseline,
                      const std::string& output) {
  std::vector<DecodedRun> runs;
  for (const std::string& file : files) {
    DRAGOMAN_ASSIGN_OR_RETURN(DecodedRun run, ReadDecodedRun(file));
    runs.push_back(std::move(run));
  }
  DRAGOMAN_ASSIGN_OR_RETURN(const std::vector<RunTableRow> rows, TabulateRuns(runs, baseline));
  const std::string text = RunTableMarkdown(rows, baseline);
  if (!output.empty()) return WriteFileAtomically(output, text);
  std::printf("%s", text.c_str());
  return absl::OkStatus();
}

void AddReproduceCommand(CLI::App* app, CommandBody* body) {
  auto flags = std::make_shared<ReproduceFlags>();
  CLI::App* command = app->add_subcommand(
      "reproduce", "Translate a test set under a mode other than the engine's, score, count rows");
  command->add_option("--run", flags->run, "Folder of a run or a package")->required();
  command->add_option("--pairs", flags->pairs, "Test pairs: .tsv or .jsonl, also .xz")->required();
  command->add_option("--target", flags->target, "Target language")->required();
  command
      ->add_option("--inference", flags->inferences,
                   "group, batch, bs_reuse, bs_src, bs_pos, bs_full, arrival, interleaved or "
                   "interleaved_source; repeatable, with --json for each")
      ->capture_default_str()
      ->allow_extra_args(false);
  command->add_option("--positions", flags->positions, "all, no_source, no_target or none")
      ->capture_default_str();
  command->add_option("--k", flags->ks, "Lag in words, or full: the sentence is read first")
      ->required()
      ->allow_extra_args(false);
  command
      ->add_option("--system", flags->systems, "Name of the run in tables; left out: the model's")
      ->allow_extra_args(false);
  command->add_option("--seed", flags->seed, "Seed of the run, for tables");
  command->add_option("--limit", flags->limit, "Only the first lines");
  command->add_option("--device", flags->options.device, "cpu, cuda or cuda:N")
      ->capture_default_str();
  command->add_flag("--bfloat16", flags->options.bfloat16, "Matrix products in bf16");
  command->add_option("--threads", flags->options.threads, "0: the library's choice")
      ->capture_default_str();
  command->add_option("--batch", flags->options.batch_sentences, "Sentences of one forward")
      ->capture_default_str()
      ->check(CLI::Range(1, 65536));
  command->add_option("--json", flags->outputs, "File of scores, hypotheses and delays")
      ->required()
      ->allow_extra_args(false);
  command->callback([flags, body] { *body = [flags] { return RunReproduce(*flags); }; });
}

void AddReproduceTableCommand(CLI::App* app, CommandBody* body) {
  struct Flags {
    std::vector<std::string> files;
    std::string baseline = "group", output;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app->add_subcommand(
      "reproduce-table", "Markdown table of what reproduce wrote: means over seeds, intervals, p");
  command->add_option("files", flags->files, "JSON files")->required();
  command->add_option("--baseline", flags->baseline, "System that others are compared with")
      ->capture_default_str();
  command->add_option("--output", flags->output, "File instead of standard output");
  command->callback([flags, body] {
    *body = [flags] { return RunTable(flags->files, flags->baseline, flags->output); };
  });
}

}  // namespace

void AddReproduceCommands(CLI::App* app, CommandBody* body) {
  AddReproduceCommand(app, body);
  AddReproduceTableCommand(app, body);
}

}  // namespace dragoman::model
