#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <memory>

#include "base/clock.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "model/cli/commands.h"
#include "model/cli/open_model.h"
#include "model/corpus/corpus_reader.h"
#include "model/evaluate/evaluation.h"
#include "model/evaluate/paced_translation.h"
#include "model/routing/skip_dial.h"

namespace dragoman::model {
namespace {

struct EvaluateFlags {
  OpenModelOptions model;
  std::string source, reference, pairs, target, policy = "wait-k:3", hypotheses, segments = "line";
  bool json = false, bootstrap = false;
  size_t limit = 0;
  Pace pace{.seconds_per_word = 0};
};

struct TestSet {
  std::vector<std::string> sources, references;
};

absl::StatusOr<TestSet> ReadTestSet(const EvaluateFlags& flags,
                                    const std::string& source_language) {
  TestSet set;
  if (!flags.pairs.empty()) {
    DRAGOMAN_RETURN_IF_ERROR(ReadPairs(flags.pairs, source_language, [&](const SentencePair& pair) {
      if (pair.target_language != flags.target) return;
      set.sources.push_back(pair.source);
      set.references.push_back(pair.target);
    }));
  } else {
    DRAGOMAN_ASSIGN_OR_RETURN(set.sources, ReadLines(flags.source));
    DRAGOMAN_ASSIGN_OR_RETURN(set.references, ReadLines(flags.reference));
  }
  if (set.sources.size() != set.references.size()) {
    return absl::InvalidArgumentError(absl::StrCat(flags.source, " has ", set.sources.size(),
                                                   " lines, ", flags.reference, " has ",
                                                   set.references.size()));
  }
  if (set.sources.empty()) return absl::InvalidArgumentError("the test set has no line");
  if (flags.limit > 0 && flags.limit < set.sources.size()) {
    set.sources.resize(flags.limit);
    set.references.resize(flags.limit);
  }
  return set;
}

// Share of the modules of all rows that were skipped, the claimed rate.
double SkipRate(const EvaluationReport& report, int64_t num_layers) {
  const int64_t rows = report.source_tokens + report.decode_rows;
  return rows == 0 ? 0.0
                   : static_cast<double>(report.modules_skipped) /
                         static_cast<double>(rows * 2 * num_layers);
}

void PrintReport(const EvaluationReport& report) {
  std::printf("%s %s-%s %s, %zu segments, %.1f s\n", report.model.c_str(),
              report.source_language.c_str(), report.target_language.c_str(), report.policy.c_str(),
              report.text.segments, report.seconds);
  std::printf("  BLEU %.2f   chrF2 %.2f   repeated 4-grams %.2f %% (references %.2f %%)\n",
              report.text.bleu, report.text.chrf2, 100 * report.repetition,
              100 * report.reference_repetition);
  if (report.text.bleu_interval.high > 0) {
    std::printf("  95 %% interval: BLEU [%.2f, %.2f], chrF2 [%.2f, %.2f]\n",
                report.text.bleu_interval.low, report.text.bleu_interval.high,
                report.text.chrf2_interval.low, report.text.chrf2_interval.high);
  }
  std::printf("  AL %.3f   LAAL %.3f   AP %.3f   (%zu scored, %zu without a word)\n", report.al,
              report.laal, report.ap, report.lag_scored, report.lag_skipped);
  if (report.paced.has_value()) {
    std::printf(
        "  LAAL_CA %.3f s   a word after its READ: p50 %.1f ms, p95 %.1f ms, p99 %.1f ms   "
        "(speakers: %zu, %.2f s a word)\n",
        report.paced->laal_ca, 1e3 * report.paced->p50, 1e3 * report.paced->p95,
        1e3 * report.paced->p99, report.speakers, report.seconds_per_word);
  }
  std::printf("  %lld target tokens, %lld rows fed, %lld of them probes, %lld failed lines\n",
              static_cast<long long>(report.target_tokens),
              static_cast<long long>(report.decode_rows), static_cast<long long>(report.probe_rows),
              static_cast<long long>(report.failed_lines));
}

absl::Status RunEvaluate(const EvaluateFlags& flags) {
  if (flags.pairs.empty() == (flags.source.empty() || flags.reference.empty())) {
    return absl::InvalidArgumentError("give --source and --reference, or --pairs");
  }
  DRAGOMAN_ASSIGN_OR_RETURN(std::shared_ptr<const Policy> policy, ParsePolicy(flags.policy));
  SystemClock clock;
  OpenModelOptions open = flags.model;
  if (flags.pace.seconds_per_word > 0) open.slots = std::max(open.slots, flags.pace.speakers);
  DRAGOMAN_ASSIGN_OR_RETURN(const OpenedModel model, OpenModel(open, &clock));
  CorpusTranslationOptions options;
  options.source_language = model.package->manifest().source_language;
  options.policy = policy;
  options.routed = flags.model.theta > 0 || flags.model.random_skip > 0;
  if (flags.model.theta > 0) options.skip_offset = SkipOffsetOf(flags.model.theta);
  options.automatic_segments = flags.segments == "auto";
  DRAGOMAN_ASSIGN_OR_RETURN(options.layout,
                            model.package->Layout(options.source_language, flags.target));
  DRAGOMAN_ASSIGN_OR_RETURN(const TestSet set, ReadTestSet(flags, options.source_language));
  const bool terminal = isatty(STDERR_FILENO) != 0;
  options.progress = [&](size_t done) {
    if (terminal) {
      std::fprintf(stderr, "\revaluate: %zu of %zu lines", done, set.sources.size());
    } else if (done % 500 == 0) {
      std::fprintf(stderr, "evaluate: %zu of %zu lines\n", done, set.sources.size());
    }
  };
  const TimePoint begin = clock.Now();
  DRAGOMAN_ASSIGN_OR_RETURN(
      const std::vector<TranslatedLine> lines,
      flags.pace.seconds_per_word > 0
          ? TranslatePaced(model.engine.get(), *model.tokenizer, set.sources, options, flags.pace,
                           &clock)
          : TranslateCorpus(model.engine.get(), *model.tokenizer, set.sources, options));
  if (terminal) std::fprintf(stderr, "\n");
  DRAGOMAN_ASSIGN_OR_RETURN(EvaluationReport report,
                            Evaluate(lines, set.references, flags.bootstrap));
  report.seconds = std::chrono::duration<double>(clock.Now() - begin).count();
  report.model = model.package->manifest().name;
  report.source_language = options.source_language;
  report.target_language = flags.target;
  report.policy = policy->name();
  report.seconds_per_word = flags.pace.seconds_per_word;
  report.speakers = flags.pace.speakers;
  if (!flags.hypotheses.empty()) {
    std::string text;
    for (const TranslatedLine& line : lines) absl::StrAppend(&text, line.text, "\n");
    DRAGOMAN_RETURN_IF_ERROR(WriteFileAtomically(flags.hypotheses, text));
  }
  if (flags.json) {
    std::printf("%s\n", DumpJson(ToJson(report), 2).c_str());
  } else {
    PrintReport(report);
    if (report.modules_skipped > 0) {
      std::printf("  %.1f %% of modules skipped\n",
                  100.0 * SkipRate(report, model.package->config().num_layers));
    }
  }
  return absl::OkStatus();
}

}  // namespace

void AddEvaluateCommand(CLI::App* app, CommandBody* body) {
  auto flags = std::make_shared<EvaluateFlags>();
  CLI::App* command = app->add_subcommand(
      "evaluate", "Translate a test set through the engine; BLEU, chrF2, AL, LAAL, LAAL_CA, AP");
  command->add_option("--model", flags->model.folder, "Model package")->required();
  command->add_option("--source", flags->source, "Source lines (plain or .xz)");
  command->add_option("--reference", flags->reference, "Reference lines");
  command->add_option("--pairs", flags->pairs, "Instead of both: .tsv or .jsonl pairs, also .xz");
  command->add_option("--target", flags->target, "Target language")->required();
  command->add_option("--policy", flags->policy, std::string(KnownPolicies()))
      ->capture_default_str();
  command
      ->add_option("--segments", flags->segments, "line: one segment a line; auto: as the server")
      ->capture_default_str()
      ->check(CLI::IsMember({"line", "auto"}));
  command->add_option("--hypotheses", flags->hypotheses, "Write the translations to this file");
  command->add_option("--limit", flags->limit, "Only the first lines");
  command->add_option("--backend", flags->model.backend, "auto, native or torch")
      ->capture_default_str();
  command->add_option("--device", flags->model.device, "cpu, cuda or cuda:N")
      ->capture_default_str();
  command->add_option("--compute", flags->model.compute, "float32 or bfloat16")
      ->capture_default_str();
  command->add_option("--weights", flags->model.weights,
                      "fp32, bf16, int8 or int4; left out: as the package has them");
  command
      ->add_option("--theta", flags->model.theta,
                   "Skip dial: 0 dense, 1 as the package's router was trained for")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 1.0));
  command
      ->add_option("--random-skip", flags->model.random_skip,
                   "Instead of a router: modules skipped at random at this rate, in all layers but "
                   "an exempt first one")
      ->check(CLI::Range(0.0, 1.0));
  command->add_option("--threads", flags->model.threads, "0: the library's choice")
      ->capture_default_str();
  command->add_option("--batch", flags->model.slots, "Lines in work at a time")
      ->capture_default_str()
      ->check(CLI::Range(1, 4096));
  command
      ->add_option(
          "--pace", flags->pace.seconds_per_word,
          "Computation-aware lag too (LAAL_CA): seconds between words; lines are spoken at "
          "this pace in simulated time, steps take the time that they take")
      ->check(CLI::Range(0.001, 60.0));
  command
      ->add_option("--speakers", flags->pace.speakers, "With --pace: lines spoken at the same time")
      ->capture_default_str()
      ->check(CLI::Range(1, 4096))
      ->needs("--pace");
  command->add_flag("--bootstrap", flags->bootstrap, "95 % intervals, 1000 resamples, seed 12345");
  command->add_flag("--json", flags->json, "One JSON object on standard output");
  command->callback([flags, body] { *body = [flags] { return RunEvaluate(*flags); }; });
}

}  // namespace dragoman::model
