#include "model/train/validation.h"

#include <algorithm>
#include <filesystem>

#include "base/status_macros.h"
#include "model/corpus/corpus_reader.h"
#include "model/corpus/prepare.h"
#include "model/engine/token_traits.h"
#include "model/evaluate/evaluation.h"
#include "model/torch/torch_backbone.h"

namespace dragoman::model {
namespace {

constexpr size_t kSlots = 32;

absl::StatusOr<std::unique_ptr<Engine>> MakeEngine(const ModelPackage& package,
                                                   const Tokenizer& tokenizer,
                                                   const StreamLayout& layout, Clock* clock) {
  BackendOptions backend;
  backend.max_pages =
      PagesForSlots(kSlots, layout.max_positions, layout.max_positions - layout.phi);
  DRAGOMAN_ASSIGN_OR_RETURN(std::unique_ptr<Backbone> backbone,
                            CreateTorchBackbone(package, backend));
  EngineOptions options;
  options.max_sequences = kSlots;
  return Engine::Create(
      options, std::move(backbone),
      MakeTokenTraits(tokenizer, package.config().vocab_size, layout.end_of_target), clock,
      nullptr);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Validation>> Validation::Create(
    const TrainConfig& config, const Tokenizer& tokenizer,
    const std::vector<std::string>& languages) {
  std::unique_ptr<Validation> validation(new Validation());
  for (const std::string& text : config.dev_policies) {
    DRAGOMAN_ASSIGN_OR_RETURN(std::unique_ptr<const Policy> policy, ParsePolicy(text));
    validation->policies_.push_back(std::move(policy));
  }
  for (const std::string& path : config.dev_files) {
    DevSet set;
    set.name = std::filesystem::path(path).filename().string();
    absl::Status wrong;
    DRAGOMAN_RETURN_IF_ERROR(ReadPairs(path, "en", [&](const SentencePair& pair) {
      if (set.sources.size() >= config.dev_pairs_per_file) return;
      const auto language = std::find(languages.begin(), languages.end(), pair.target_language);
      if (language == languages.end()) {
        wrong = absl::InvalidArgumentError(absl::StrCat(path, ": language \"", pair.target_language,
                                                        "\" is not in the training data"));
        return;
      }
      Sample sample;
      sample.id = set.samples.size();
      sample.language = static_cast<uint16_t>(language - languages.begin());
      if (!EncodeWords(tokenizer, pair.source, &sample.source, &sample.source_words) ||
          !EncodeWords(tokenizer, pair.target, &sample.target, &sample.target_words)) {
        return;
      }
      set.source_language = pair.source_language;
      set.target_language = pair.target_language;
      set.sources.push_back(pair.source);
      set.references.push_back(pair.target);
      set.samples.push_back(std::move(sample));
    }));
    DRAGOMAN_RETURN_IF_ERROR(wrong);
    if (set.sources.empty()) {
      return absl::InvalidArgumentError(absl::StrCat(path, ": holds no usable pair"));
    }
    validation->sets_.push_back(std::move(set));
  }
  return validation;
}

std::vector<Sample> Validation::Samples() const {
  std::vector<Sample> samples;
  for (const DevSet& set : sets_) {
    samples.insert(samples.end(), set.samples.begin(), set.samples.end());
  }
  return samples;
}

absl::StatusOr<std::vector<ValidationResult>> Validation::Run(const std::string& package_folder,
                                                              Trainer* trainer,
                                                              Clock* clock) const {
  DRAGOMAN_ASSIGN_OR_RETURN(const std::unique_ptr<ModelPackage> package,
                            ModelPackage::Load(package_folder));
  DRAGOMAN_ASSIGN_OR_RETURN(const std::unique_ptr<Tokenizer> tokenizer,
                            LoadTokenizer(package_folder));
  std::vector<ValidationResult> results;
  for (const DevSet& set : sets_) {
    DRAGOMAN_ASSIGN_OR_RETURN(const StreamLayout layout,
                              package->Layout(set.source_language, set.target_language));
    DRAGOMAN_ASSIGN_OR_RETURN(const std::unique_ptr<Engine> engine,
                              MakeEngine(*package, *tokenizer, layout, clock));
    for (const std::shared_ptr<const Policy>& policy : policies_) {
      Schedule schedule;
      if (const auto* wait_k = dynamic_cast<const WaitKPolicy*>(policy.get())) {
        schedule = {Schedule::Kind::kWaitK, wait_k->k()};
      }
      DRAGOMAN_ASSIGN_OR_RETURN(const double loss, trainer->DevLoss(set.samples, schedule));
      CorpusTranslationOptions options;
      options.source_language = set.source_language;
      options.layout = layout;
      options.policy = policy;
      DRAGOMAN_ASSIGN_OR_RETURN(const std::vector<TranslatedLine> lines,
                                TranslateCorpus(engine.get(), *tokenizer, set.sources, options));
      DRAGOMAN_ASSIGN_OR_RETURN(const EvaluationReport report,
                                Evaluate(lines, set.references, /*bootstrap=*/false));
      ValidationResult result;
      result.text =
          absl::StrFormat("dev %s %s: loss %.4f  BLEU %.2f  chrF2 %.2f  LAAL %.2f", set.name,
                          policy->name(), loss, report.text.bleu, report.text.chrf2, report.laal);
      result.record["event"] = "validation";
      result.record["set"] = set.name;
      result.record["policy"] = policy->name();
      result.record["loss"] = loss;
      result.record["bleu"] = report.text.bleu;
      result.record["chrf2"] = report.text.chrf2;
      result.record["laal"] = report.laal;
      results.push_back(std::move(result));
    }
  }
  return results;
}

}  // namespace dragoman::model
