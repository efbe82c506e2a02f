#include "model/train/run.h"

#include <malloc.h>

#include <array>
#include <climits>
#include <filesystem>
#include <memory>

#include "base/file.h"
#include "base/json.h"
#include "base/sha256.h"
#include "base/status_macros.h"
#include "model/corpus/shard.h"
#include "model/package/package_writer.h"
#include "model/torch/torch_guard.h"
#include "model/train/blas_report.h"
#include "model/train/router_run.h"
#include "model/train/trainer.h"
#include "model/train/validation.h"
#include "torch/torch.h"

namespace dragoman::model {
namespace {

// Everything that a run or an export needs, loaded and checked against each other.
struct RunParts {
  ShardSet shards;
  std::unique_ptr<Tokenizer> tokenizer;
  ModelConfig model;
  PackageManifest manifest;
  std::vector<StreamLayout> layouts;  // by Sample::language
  TransformerWeights weights;
  std::string base_digest;  // of the package that training starts from
};

StreamLayout LayoutOf(const PackageManifest& manifest, const std::string& language) {
  StreamLayout layout;
  layout.prompt = manifest.prompts.at(language);
  layout.source_end = manifest.source_end;
  layout.target_header = manifest.target_headers.at(language);
  layout.end_of_target = manifest.end_of_target;
  layout.phi = manifest.phi;
  layout.max_positions = manifest.max_positions;
  return layout;
}

absl::Status LoadBaseModel(const TrainConfig& config, RunParts* parts) {
  DRAGOMAN_ASSIGN_OR_RETURN(const std::unique_ptr<ModelPackage> base,
                            ModelPackage::Load(config.init_from));
  DRAGOMAN_ASSIGN_OR_RETURN(
      const std::string digest,
      Sha256HexOfFile(config.init_from + "/" + parts->shards.manifest.tokenizer_file));
  if (digest != parts->shards.manifest.tokenizer_sha256) {
    return absl::FailedPreconditionError(
        absl::StrCat(config.data, ": was prepared with another tokenizer than that of ",
                     config.init_from, "; run prepare with --tokenizer ", config.init_from));
  }
  parts->model = base->config();
  parts->manifest = base->manifest();
  parts->base_digest = base->weights_digest();
  if (config.allow_phi_change) {
    parts->manifest.phi = config.phi;
  } else if (config.phi != 0 && config.phi != parts->manifest.phi) {
    return absl::FailedPreconditionError(
        absl::StrCat("phi is ", config.phi, ", that of ", config.init_from, " is ",
                     parts->manifest.phi, "; \"allow_phi_change\": true trains with another"));
  }
  return GuardTorch("base model", [&]() -> absl::Status {
    DRAGOMAN_ASSIGN_OR_RETURN(parts->weights, LoadWeights(*base, torch::kFloat32, torch::kCPU));
    return absl::OkStatus();
  });
}

absl::StatusOr<RunParts> LoadParts(const TrainConfig& config) {
  DRAGOMAN_RETURN_IF_ERROR(config.Validate());
  RunParts parts;
  DRAGOMAN_ASSIGN_OR_RETURN(parts.shards, ReadShards(config.data));
  DRAGOMAN_ASSIGN_OR_RETURN(parts.tokenizer, LoadTokenizer(config.data));
  const std::vector<std::string>& languages = parts.shards.manifest.languages;
  if (!config.init_from.empty()) {
    DRAGOMAN_RETURN_IF_ERROR(LoadBaseModel(config, &parts));
  } else {
    parts.model = config.model;
    parts.model.vocab_size = parts.tokenizer->vocab_size();
    DRAGOMAN_ASSIGN_OR_RETURN(
        parts.manifest, SmallModelManifest(*parts.tokenizer, parts.shards.manifest.source_language,
                                           languages, config));
    parts.weights = InitWeights(parts.model, config.seed);
  }
  if (config.lora.rank > 0) {
    AddAdapters(parts.model, config.lora.rank, config.lora.alpha, config.seed, &parts.weights);
  }
  for (const std::string& language : languages) {
    if (!parts.manifest.prompts.contains(language) ||
        !parts.manifest.target_headers.contains(language)) {
      return absl::FailedPreconditionError(absl::StrCat(
          config.init_from, ": dragoman.json has no layout for language \"", language, "\""));
    }
    parts.layouts.push_back(LayoutOf(parts.manifest, language));
  }
  return parts;
}

absl::Status WriteRunPackage(const TrainConfig& config, const RunParts& parts,
                             const TransformerWeights& weights, const std::string& folder,
                             bool bfloat16) {
  return GuardTorch("export", [&]() -> absl::Status {
    PackageContents contents;
    contents.config = parts.model;
    contents.manifest = parts.manifest;
    contents.manifest.name = config.package.name;
    contents.manifest.description = config.package.description;
    contents.manifest.license = config.package.license;
    contents.manifest.default_policy = config.package.default_policy;
    contents.manifest.sha256.clear();
    contents.dtype = bfloat16 ? DType::kBF16 : DType::kF32;
    const auto tensors = ExportHuggingFace(parts.model, weights);
    for (const auto& [name, tensor] : tensors) {
      contents.tensors.push_back(
          {name,
           {DType::kF32, tensor.sizes().vec(),
            std::string_view(static_cast<const char*>(tensor.data_ptr()), tensor.nbytes())}});
    }
    const std::string& tokenizer_file = parts.shards.manifest.tokenizer_file;
    contents.copies[tokenizer_file] = config.data + "/" + tokenizer_file;
    return WritePackage(folder, contents);
  });
}

// A copy of the weights with adapters merged; the originals go on being trained.
TransformerWeights MergedCopy(const TransformerWeights& weights) {
  torch::NoGradGuard no_grad;
  TransformerWeights copy = weights;
  for (LayerWeights& layer : copy.layers) {
    for (Linear* linear : {&layer.qkv, &layer.output, &layer.gate_up, &layer.down}) {
      if (!linear->adapters.empty()) linear->weight = linear->weight.detach().clone();
    }
  }
  MergeAdapters(&copy);
  return copy;
}

class RunLog {
 public:
  RunLog(const TrainConfig& config, std::FILE* progress)
      : progress_(progress), file_(std::fopen((config.output + "/log.jsonl").c_str(), "a")) {}
  ~RunLog() {
    if (file_ != nullptr) std::fclose(file_);
  }
  RunLog(const RunLog&) = delete;
  RunLog& operator=(const RunLog&) = delete;

  void Line(const std::string& text) {
    if (progress_ != nullptr) std::fprintf(progress_, "train: %s\n", text.c_str());
  }
  void Record(const Json& record) {
    if (file_ == nullptr) return;
    std::fprintf(file_, "%s\n", DumpJson(record).c_str());
    std::fflush(file_);
  }

 private:
  std::FILE* const progress_;
  std::FILE* const file_;
};

void ReportBlas(const TrainConfig& config, RunLog* log) {
  const BlasReport blas = MeasureBlas();
  log->Line(absl::StrFormat("BLAS %s: %.0f GFLOP/s fp32, %.0f GFLOP/s bf16, %d threads",
                            blas.library, blas.float32_gflops, blas.bfloat16_gflops,
                            config.threads));
  if (blas.float32_gflops < 20) {
    log->Line(
        "warning: this BLAS is slow; scripts/bootstrap.sh installs and selects OpenBLAS, "
        "OPENBLAS_CORETYPE makes an old one use this CPU (docs/training.md)");
  }
  if (config.bfloat16 && blas.bfloat16_gflops < blas.float32_gflops) {
    log->Line("warning: bf16 products are slower than fp32 here; set \"bfloat16\": false");
  }
}

std::string FormatDuration(double seconds) {
  const auto minutes = static_cast<int64_t>(seconds / 60);
  return minutes >= 60 ? absl::StrFormat("%d h %02d min", minutes / 60, minutes % 60)
                       : absl::StrFormat("%d min", minutes);
}

absl::StatusOr<DemonstrationSymbols> FindDemonstrationSymbols(const Tokenizer& tokenizer) {
  const std::optional<TokenId> begin = tokenizer.FindControl("<ex>"),
                               between = tokenizer.FindControl("<=>"),
                               end = tokenizer.FindControl("</ex>");
  if (!begin || !between || !end) {
    return absl::FailedPreconditionError(
        "demonstration_share needs the control symbols <ex>, <=> and </ex> in the vocabulary");
  }
  return DemonstrationSymbols{*begin, *between, *end};
}

// What happened since the last line of progress.
struct Interval {
  TimePoint begin;
  int64_t steps = 0, tokens = 0, padded = 0, labels = 0;
  double loss = 0;
  std::array<double, 2> skip_rate{};  // sums over the steps
};

void Report(const TrainConfig& config, const Trainer& trainer, const TrainingState& state,
            const StepResult& last, const Interval& interval, double seconds, RunLog* log) {
  const double rate = static_cast<double>(interval.tokens) / seconds;
  const double left = static_cast<double>(config.max_steps - state.step) * seconds /
                      static_cast<double>(interval.steps);
  const double loss = interval.loss / static_cast<double>(interval.labels);
  log->Line(absl::StrFormat(
      "step %d/%d  epoch %d (%d/%d)  loss %.4f  lr %.2e  |g| %.2f  %.0f tokens/s  pad %.0f %%  eta "
      "%s",
      state.step, config.max_steps, state.epoch, state.next_batch, trainer.batches_in_epoch(), loss,
      last.learning_rate, last.gradient_norm, rate,
      100.0 * (1.0 - static_cast<double>(interval.tokens) / static_cast<double>(interval.padded)),
      FormatDuration(left)));
  Json record = Json::object();
  if (config.stage != "sft") {
    const auto steps = static_cast<double>(interval.steps);
    const std::array<double, 2> rates = {interval.skip_rate[0] / steps,
                                         interval.skip_rate[1] / steps};
    log->Line(
        absl::StrFormat("  skipping %.3f of source rows, %.3f of target rows", rates[0], rates[1]));
    record["skip_rate_source"] = rates[0];
    record["skip_rate_target"] = rates[1];
  }
  record["event"] = "progress";
  record["step"] = state.step;
  record["epoch"] = state.epoch;
  record["loss"] = loss;
  record["lr"] = last.learning_rate;
  record["gradient_norm"] = last.gradient_norm;
  record["tokens_per_s"] = rate;
  record["tokens"] = state.tokens;
  record["seconds"] = state.seconds;
  log->Record(record);
}

}  // namespace

absl::StatusOr<PackageManifest> SmallModelManifest(const Tokenizer& tokenizer,
                                                   const std::string& source_language,
                                                   const std::vector<std::string>& languages,
                                                   const TrainConfig& config) {
  const auto id = [&](const std::string& name) -> absl::StatusOr<TokenId> {
    const std::optional<TokenId> found = tokenizer.FindControl(name);
    if (!found.has_value()) {
      return absl::FailedPreconditionError(absl::StrCat(
          "the vocabulary has no control symbol ", name,
          "; train it with dragoman-model prepare, or train from a base model with init_from"));
    }
    return *found;
  };
  PackageManifest manifest;
  manifest.source_language = source_language;
  manifest.target_languages = languages;
  manifest.phi = config.phi;
  manifest.max_positions = static_cast<int32_t>(config.model.max_positions);
  DRAGOMAN_ASSIGN_OR_RETURN(const TokenId begin, id("<s>"));
  DRAGOMAN_ASSIGN_OR_RETURN(const TokenId source, id("<src>"));
  DRAGOMAN_ASSIGN_OR_RETURN(const TokenId source_end, id("<eos_src>"));
  DRAGOMAN_ASSIGN_OR_RETURN(const TokenId target, id("<tgt>"));
  DRAGOMAN_ASSIGN_OR_RETURN(manifest.end_of_target, id("</s>"));
  manifest.source_end = {source_end};
  for (const std::string& language : languages) {
    DRAGOMAN_ASSIGN_OR_RETURN(const TokenId tag, id("<2" + language + ">"));
    manifest.prompts[language] = {begin, tag, source};
    manifest.target_headers[language] = {target};
  }
  return manifest;
}

absl::Status RunTraining(const TrainConfig& config, const RunOptions& options) {
  // Tensors of a step are freed and asked for again at the next: keep them in the process.
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, INT_MAX);
  at::set_num_threads(config.threads);
  DRAGOMAN_ASSIGN_OR_RETURN(RunParts parts, LoadParts(config));
  const std::string checkpoints = config.output + "/checkpoints";
  std::error_code error;
  std::filesystem::create_directories(checkpoints, error);
  if (error) return absl::UnavailableError(absl::StrCat(checkpoints, ": ", error.message()));
  RunLog log(config, options.progress);

  if (config.device == "cpu") ReportBlas(config, &log);
  DRAGOMAN_ASSIGN_OR_RETURN(
      const std::unique_ptr<Validation> validation,
      Validation::Create(config, *parts.tokenizer, parts.shards.manifest.languages));
  DRAGOMAN_ASSIGN_OR_RETURN(std::optional<Router> router,
                            StartingRouter(config, parts.model, parts.base_digest));
  const auto line = [&log](const std::string& text) { log.Line(text); };
  // A stop while calibrating is as good an end as one between two steps.
  const auto unless_stopped = [&log](const absl::Status& status) {
    if (!absl::IsCancelled(status)) return status;
    log.Line(std::string(status.message()));
    return absl::OkStatus();
  };
  if (config.stage == "calibrate" || config.stage == "prune") {
    const std::string folder = config.output + "/package";
    DRAGOMAN_RETURN_IF_ERROR(WriteRunPackage(config, parts, parts.weights, folder, true));
    return unless_stopped(AddCalibratedRouter(config, parts.layouts, validation->Samples(),
                                              std::move(router).value_or(Router()), folder, line,
                                              options.stop));
  }
  if (config.stage == "export-static") {
    const std::string folder = config.output + "/package";
    DRAGOMAN_ASSIGN_OR_RETURN(
        StaticModel pruned,
        MakeStaticModel(config, parts.layouts, validation->Samples(), *router, line));
    parts.model = pruned.config;
    DRAGOMAN_RETURN_IF_ERROR(WriteRunPackage(config, parts, pruned.weights, folder, true));
    if (!pruned.router.has_value()) return absl::OkStatus();
    DRAGOMAN_ASSIGN_OR_RETURN(const std::unique_ptr<ModelPackage> package,
                              ModelPackage::Load(folder));
    return PutRouter(*package, *std::move(pruned.router));
  }
  // Outlives the trainer, which packs samples on a thread of its own.
  std::unique_ptr<DemonstrationIndex> demonstrations;
  DRAGOMAN_ASSIGN_OR_RETURN(
      const std::unique_ptr<Trainer> trainer,
      Trainer::Create(config, parts.model, &parts.shards.samples, parts.shards.manifest.corpora,
                      parts.layouts, parts.weights, std::move(router)));
  if (config.demonstration_share > 0) {
    DRAGOMAN_ASSIGN_OR_RETURN(const DemonstrationSymbols symbols,
                              FindDemonstrationSymbols(*parts.tokenizer));
    demonstrations = std::make_unique<DemonstrationIndex>(
        &parts.shards.samples, *parts.tokenizer,
        DemonstrationOptions{.share = config.demonstration_share});
    trainer->UseDemonstrations(demonstrations.get(), symbols);
  }
  std::vector<std::string> skipped;
  DRAGOMAN_ASSIGN_OR_RETURN(const bool resumed, trainer->Resume(checkpoints, &skipped));
  for (const std::string& line : skipped) log.Line("skipped a damaged checkpoint: " + line);
  log.Line(absl::StrFormat("%d parameters, %d trained, %d samples, %d batches an epoch, %s step %d",
                           parts.model.ParameterCount(), trainer->trained_parameters(),
                           parts.shards.samples.size(), trainer->batches_in_epoch(),
                           resumed ? "resumed at" : "new run from", trainer->state().step));

  TrainingState& state = trainer->state();
  Interval interval{options.clock->Now()};
  const auto seconds_since = [&](TimePoint begin) {
    return std::chrono::duration<double>(options.clock->Now() - begin).count();
  };
  bool saved = true;
  while (state.step < config.max_steps && !(options.stop != nullptr && options.stop->load())) {
    const TimePoint begin = options.clock->Now();
    DRAGOMAN_ASSIGN_OR_RETURN(const StepResult step, trainer->TrainStep());
    state.seconds += seconds_since(begin);
    saved = false;
    ++interval.steps;
    interval.tokens += step.tokens;
    interval.padded += step.padded_tokens;
    interval.labels += step.loss_tokens;
    interval.loss += step.loss_sum;
    for (size_t g = 0; g < 2; ++g) interval.skip_rate[g] += step.skip_rate[g];
    if (state.step % config.log_every == 0) {
      Report(config, *trainer, state, step, interval, seconds_since(interval.begin), &log);
      state.loss_sum = 0;
      state.loss_tokens = 0;
      interval = Interval{options.clock->Now()};
    }
    if (state.step % config.checkpoint_every == 0) {
      DRAGOMAN_RETURN_IF_ERROR(trainer->Save(checkpoints));
      saved = true;
    }
    if (state.step % config.evaluate_every == 0 && !validation->empty()) {
      const std::string folder = config.output + "/evaluated";
      DRAGOMAN_RETURN_IF_ERROR(WriteRunPackage(config, parts, MergedCopy(trainer->weights()),
                                               folder, /*bfloat16=*/false));
      DRAGOMAN_ASSIGN_OR_RETURN(const std::vector<ValidationResult> results,
                                validation->Run(folder, trainer.get(), options.clock));
      for (const ValidationResult& result : results) {
        log.Line(result.text);
        Json record = result.record;
        record["step"] = state.step;
        log.Record(record);
      }
      interval = Interval{options.clock->Now()};
    }
  }
  if (!saved) DRAGOMAN_RETURN_IF_ERROR(trainer->Save(checkpoints));
  if (config.stage != "sft" && state.step < config.max_steps) {
    // Nothing to serve yet: thresholds are found at the end.
    log.Line(absl::StrFormat("step %d saved", state.step));
    return absl::OkStatus();
  }
  if (config.stage == "mod") {
    return unless_stopped(ReportMixtureOfDepths(config, parts.layouts, validation->Samples(),
                                                trainer->TrainedRouter(), line, options.stop));
  }
  if (config.stage == "router") {
    DRAGOMAN_RETURN_IF_ERROR(WriteRunPackage(config, parts, parts.weights,
                                             config.output + "/package", /*bfloat16=*/true));
  } else {
    DRAGOMAN_RETURN_IF_ERROR(ExportRun(config, config.output + "/package", /*bfloat16=*/true));
  }
  if (config.stage != "sft") {
    const absl::Status calibrated =
        AddCalibratedRouter(config, parts.layouts, validation->Samples(), trainer->TrainedRouter(),
                            config.output + "/package", line, options.stop);
    if (!calibrated.ok()) return unless_stopped(calibrated);
  }
  log.Line(
      absl::StrFormat("step %d saved; package written to %s/package", state.step, config.output));
  return absl::OkStatus();
}

absl::Status ExportRun(const TrainConfig& config, const std::string& package_folder,
                       bool bfloat16_weights) {
  DRAGOMAN_ASSIGN_OR_RETURN(const RunParts parts, LoadParts(config));
  return GuardTorch("export", [&]() -> absl::Status {
    DRAGOMAN_RETURN_IF_ERROR(AverageCheckpoints(config.output + "/checkpoints",
                                                config.keep_checkpoints,
                                                ListParameters(parts.weights))
                                 .status());
    return WriteRunPackage(config, parts, MergedCopy(parts.weights), package_folder,
                           bfloat16_weights);
  });
}

}  // namespace dragoman::model
