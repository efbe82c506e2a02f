#include <algorithm>
#include <cstdio>
#include <memory>
#include <utility>

#include "base/json.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "model/cli/commands.h"
#include "model/cli/open_model.h"
#include "model/corpus/corpus_reader.h"
#include "model/corpus/prepare.h"
#include "model/evaluate/head_calibration.h"
#include "model/evaluate/word_aligner.h"
#include "model/package/policy_file.h"

namespace dragoman::model {
namespace {

// In one step: enough rows for full speed.
constexpr size_t kPairsTogether = 16;

struct CalibrateFlags {
  std::string model;
  std::vector<std::string> pairs;
  size_t limit = 200, keep = 4;
  int64_t words = 2;
  int threads = 0;
  bool dry_run = false, json = false;
};

// False when the text does not become as many words as it has blanks for.
bool EncodeSide(const Tokenizer& tokenizer, const std::string& text, size_t words,
                WordTokens* out) {
  std::vector<uint16_t> lengths;
  if (!EncodeWords(tokenizer, text, &out->tokens, &lengths) || lengths.size() != words) {
    return false;
  }
  out->word_ends = {0};
  for (const uint16_t length : lengths) out->word_ends.push_back(out->word_ends.back() + length);
  return true;
}

// The first `limit` pairs of a file that fit the model. The aligner learns from all of the file.
absl::Status ReadCalibrationPairs(const std::string& path, size_t limit,
                                  const ModelPackage& package, const Tokenizer& tokenizer,
                                  std::vector<CalibrationPair>* pairs) {
  const std::string& source_language = package.manifest().source_language;
  std::vector<SentencePair> sentences;
  std::vector<WordPair> words;
  DRAGOMAN_RETURN_IF_ERROR(ReadPairs(path, source_language, [&](const SentencePair& pair) {
    sentences.push_back(pair);
    words.push_back({SplitOnWhitespace(pair.source), SplitOnWhitespace(pair.target)});
  }));
  const std::vector<std::vector<int64_t>> alignments = AlignWords(words);
  const auto most = static_cast<size_t>(package.manifest().max_positions);
  size_t taken = 0;
  for (size_t i = 0; i < sentences.size() && taken < limit; ++i) {
    CalibrationPair pair;
    DRAGOMAN_ASSIGN_OR_RETURN(pair.layout,
                              package.Layout(source_language, sentences[i].target_language));
    pair.alignment = alignments[i];
    if (!EncodeSide(tokenizer, sentences[i].source, words[i].source.size(), &pair.source) ||
        !EncodeSide(tokenizer, sentences[i].target, words[i].target.size(), &pair.target)) {
      continue;
    }
    const size_t source =
        pair.layout.prompt.size() + pair.source.tokens.size() + pair.layout.source_end.size();
    const size_t target = static_cast<size_t>(pair.layout.phi) + pair.layout.target_header.size() +
                          pair.target.tokens.size();
    if (std::max(source, target) > most) continue;
    pairs->push_back(std::move(pair));
    ++taken;
  }
  if (taken > 0) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(path, ": no pair fits the model"));
}

absl::Status ScoreAll(Backbone* backbone, std::span<const CalibrationPair> pairs,
                      std::span<HeadScore> scores) {
  for (size_t begin = 0; begin < pairs.size(); begin += kPairsTogether) {
    DRAGOMAN_RETURN_IF_ERROR(ScoreHeads(
        backbone, pairs.subspan(begin, std::min(kPairsTogether, pairs.size() - begin)), scores));
  }
  return absl::OkStatus();
}

std::string Name(const AttentionHead& head) { return absl::StrCat(head.layer, ".", head.head); }

void PrintTable(const std::vector<HeadScore>& scores, const std::vector<AttentionHead>& chosen,
                const HeadScore& mean) {
  constexpr size_t kShown = 10;
  std::printf("%-12s %8s  of %lld target tokens\n", "layer.head", "score",
              static_cast<long long>(mean.rows));
  for (const AttentionHead& head : BestHeads(scores, kShown)) {
    const auto found = std::find_if(scores.begin(), scores.end(), [&](const HeadScore& score) {
      return score.heads.front() == head;
    });
    const bool kept = std::find(chosen.begin(), chosen.end(), head) != chosen.end();
    std::printf("%-12s %8.3f  %s\n", Name(head).c_str(), found->share(), kept ? "kept" : "");
  }
  std::printf("%-12s %8.3f\n", "mean of kept", mean.share());
}

Json ToJson(const std::vector<HeadScore>& scores, const AlignAttSettings& settings,
            const HeadScore& mean, size_t pairs) {
  Json json = Json::object();
  json["pairs"] = pairs;
  json["rows"] = mean.rows;
  json["scores"] = Json::array();
  for (const HeadScore& score : scores) {
    json["scores"].push_back({{"layer", score.heads.front().layer},
                              {"head", score.heads.front().head},
                              {"score", score.share()}});
  }
  json["kept"] = Json::array();
  for (const AttentionHead& head : settings.heads) {
    json["kept"].push_back(Json::array({head.layer, head.head}));
  }
  json["score_of_mean"] = mean.share();
  json["words"] = settings.words;
  return json;
}

absl::Status RunCalibrateHeads(const CalibrateFlags& flags) {
  DRAGOMAN_ASSIGN_OR_RETURN(const std::unique_ptr<ModelPackage> package,
                            ModelPackage::Load(flags.model));
  DRAGOMAN_ASSIGN_OR_RETURN(const std::unique_ptr<Tokenizer> tokenizer, LoadTokenizer(flags.model));
  const int32_t limit = package->manifest().max_positions;
  BackendOptions options;
  options.num_threads = flags.threads;
  options.max_pages = PagesForSlots(kPairsTogether, limit, limit);
  DRAGOMAN_ASSIGN_OR_RETURN(const std::unique_ptr<Backbone> backbone,
                            MakeBackbone("native", *package, options));
  std::vector<CalibrationPair> pairs;
  for (const std::string& path : flags.pairs) {
    DRAGOMAN_RETURN_IF_ERROR(ReadCalibrationPairs(path, flags.limit, *package, *tokenizer, &pairs));
  }
  std::vector<HeadScore> scores = EveryHead(package->config());
  DRAGOMAN_RETURN_IF_ERROR(ScoreAll(backbone.get(), pairs, std::span(scores)));
  const AlignAttSettings settings{.words = flags.words, .heads = BestHeads(scores, flags.keep)};
  HeadScore mean{.heads = settings.heads};
  DRAGOMAN_RETURN_IF_ERROR(ScoreAll(backbone.get(), pairs, {&mean, 1}));
  if (mean.rows == 0) return absl::InvalidArgumentError("no target word of the pairs is aligned");
  if (!flags.dry_run) DRAGOMAN_RETURN_IF_ERROR(WritePolicyFile(flags.model, settings));
  if (flags.json) {
    std::printf("%s\n", DumpJson(ToJson(scores, settings, mean, pairs.size()), 2).c_str());
  } else {
    PrintTable(scores, settings.heads, mean);
  }
  return absl::OkStatus();
}

}  // namespace

void AddCalibrateHeadsCommand(CLI::App* app, CommandBody* body) {
  auto flags = std::make_shared<CalibrateFlags>();
  CLI::App* command = app->add_subcommand(
      "calibrate-heads",
      "Choose the attention heads of the policy align-att and write them to the package");
  command->add_option("--model", flags->model, "Model package; gets a policy.json")->required();
  command->add_option("--pairs", flags->pairs, "Development pairs: .tsv or .jsonl, also .xz")
      ->required();
  command->add_option("--limit", flags->limit, "Pairs of each file that heads are scored on")
      ->capture_default_str()
      ->check(CLI::Range(1, 1 << 20));
  command->add_option("--keep", flags->keep, "Heads to choose")
      ->capture_default_str()
      ->check(CLI::Range(1, 64));
  command
      ->add_option("--words", flags->words,
                   "Last source words that align-att holds back for, where a client names none")
      ->capture_default_str()
      ->check(CLI::Range(1, 64));
  command->add_option("--threads", flags->threads, "0: the library's choice")
      ->capture_default_str();
  command->add_flag("--dry-run", flags->dry_run, "Print only");
  command->add_flag("--json", flags->json, "One JSON object on standard output");
  command->callback([flags, body] { *body = [flags] { return RunCalibrateHeads(*flags); }; });
}

}  // namespace dragoman::model
