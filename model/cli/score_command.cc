#include <cstdio>
#include <memory>

#include "base/status_macros.h"
#include "model/cli/commands.h"
#include "model/corpus/corpus_reader.h"
#include "model/evaluate/evaluation.h"

namespace dragoman::model {
namespace {

absl::Status RunScore(const std::string& hypothesis, const std::string& reference, bool bootstrap,
                      bool json) {
  DRAGOMAN_ASSIGN_OR_RETURN(const std::vector<std::string> hypotheses, ReadLines(hypothesis));
  DRAGOMAN_ASSIGN_OR_RETURN(const std::vector<std::string> references, ReadLines(reference));
  DRAGOMAN_ASSIGN_OR_RETURN(const TextScores scores, ScoreText(hypotheses, references, bootstrap));
  if (json) {
    std::printf("%s\n", DumpJson(ToJson(scores), 2).c_str());
    return absl::OkStatus();
  }
  std::printf("BLEU %.2f   chrF2 %.2f   (%zu segments)\n", scores.bleu, scores.chrf2,
              scores.segments);
  if (bootstrap) {
    std::printf("95 %% interval: BLEU [%.2f, %.2f], chrF2 [%.2f, %.2f]\n", scores.bleu_interval.low,
                scores.bleu_interval.high, scores.chrf2_interval.low, scores.chrf2_interval.high);
  }
  return absl::OkStatus();
}

}  // namespace

void AddScoreCommand(CLI::App* app, CommandBody* body) {
  struct Flags {
    std::string hypothesis, reference;
    bool bootstrap = false, json = false;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app->add_subcommand(
      "score", "BLEU and chrF2 of translated lines, as sacreBLEU computes them");
  command->add_option("--hypothesis", flags->hypothesis, "Translated lines")->required();
  command->add_option("--reference", flags->reference, "Reference lines")->required();
  command->add_flag("--bootstrap", flags->bootstrap, "95 % intervals, 1000 resamples, seed 12345");
  command->add_flag("--json", flags->json, "One JSON object on standard output");
  command->callback([flags, body] {
    *body = [flags] {
      return RunScore(flags->hypothesis, flags->reference, flags->bootstrap, flags->json);
    };
  });
}

}  // namespace dragoman::model
