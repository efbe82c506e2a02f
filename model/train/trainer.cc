#include "model/train/trainer.h"

#include <algorithm>
#include <cmath>

#include "base/random.h"
#include "base/status_macros.h"
#include "model/torch/device.h"
#include "model/torch/torch_guard.h"
#include "torch/torch.h"

namespace dragoman::model {
namespace {

bool TrainsRouter(const TrainConfig& config) {
  return config.stage == "router" || config.stage == "joint" || config.stage == "mod";
}

bool TrainsModel(const TrainConfig& config) {
  return config.stage != "router" && config.stage != "mod";
}

// Parameters that are trained: all of the model or its adapters, those of the router, or both.
std::vector<NamedParameter> TrainableParameters(const TrainConfig& config,
                                                const TransformerWeights& weights,
                                                const RouterTensors& router) {
  std::vector<NamedParameter> trainable;
  if (TrainsRouter(config)) {
    for (NamedParameter& parameter : ListParameters(router)) {
      parameter.second.requires_grad_(true);
      trainable.push_back(std::move(parameter));
    }
  }
  if (!TrainsModel(config)) return trainable;
  const bool lora = config.lora.rank > 0;
  for (NamedParameter& parameter : ListParameters(weights)) {
    const bool adapter = parameter.first.find(".lora_") != std::string::npos;
    if (lora && !adapter) continue;
    parameter.second.requires_grad_(true);
    trainable.push_back(std::move(parameter));
  }
  return trainable;
}

// The groups of a batch with a share of its samples, evenly spaced, forced to execute everything.
torch::Tensor WithDenseSamples(const TrainingFormBatch& form, double share) {
  torch::Tensor groups = form.groups.clone();
  for (int64_t s = 0; s < form.samples; ++s) {
    const auto n = static_cast<double>(s);
    if (std::floor((n + 1) * share) == std::floor(n * share)) continue;
    groups.narrow(0, s * form.columns, form.columns).fill_(static_cast<int64_t>(RowGroup::kForced));
  }
  return groups;
}

}  // namespace

Trainer::Trainer(const TrainConfig& config, const ModelConfig& model, const torch::Device& device,
                 const std::vector<Sample>* samples, std::vector<StreamLayout> layouts,
                 TransformerWeights weights, std::optional<Router> router)
    : config_(config),
      model_(model),
      device_(device),
      samples_(samples),
      layouts_(std::move(layouts)),
      weights_(MoveWeights(weights, device)),
      rotary_(model, model.max_positions, torch::kFloat32, device),
      router_(std::move(router)),
      router_tensors_(router_.has_value() ? MakeRouterTensors(*router_, device) : RouterTensors()),
      optimizer_(TrainableParameters(config, weights_, router_tensors_), config.optimizer) {
  state_.seed = config.seed;
  router_tensors_.per_layer = TrainsRouter(config) && config.router.per_layer;
  router_tensors_.scale_outputs = config.stage == "mod";
}

absl::StatusOr<std::unique_ptr<Trainer>> Trainer::Create(
    const TrainConfig& config, const ModelConfig& model, const std::vector<Sample>* samples,
    const std::vector<std::string>& corpora, std::vector<StreamLayout> layouts,
    TransformerWeights weights, std::optional<Router> router) {
  const bool routed = config.stage != "sft";
  if (routed != router.has_value()) {
    return absl::InvalidArgumentError(
        absl::StrCat("stage ", config.stage, routed ? " needs a router" : " takes no router"));
  }
  DRAGOMAN_ASSIGN_OR_RETURN(const torch::Device device, ParseDevice(config.device));
  std::unique_ptr<Trainer> trainer(new Trainer(config, model, device, samples, std::move(layouts),
                                               std::move(weights), std::move(router)));
  SampleStreamOptions& stream = trainer->stream_options_;
  stream.seed = config.seed;
  stream.batch_tokens = config.batch_tokens;
  DRAGOMAN_ASSIGN_OR_RETURN(trainer->mode_, ParseTrainingMode(config.mode));
  DRAGOMAN_ASSIGN_OR_RETURN(trainer->positions_, ParseGroupPositions(config.positions));
  size_t overhead = 0;
  int64_t side_tokens = model.max_positions;
  for (const StreamLayout& layout : trainer->layouts_) {
    overhead = std::max(
        overhead, layout.prompt.size() + layout.source_end.size() + layout.target_header.size());
    side_tokens = std::min(side_tokens, MaxSideTokens(trainer->mode_, layout, model.max_positions));
  }
  stream.overhead_tokens = overhead;
  if (side_tokens <= 0) {
    return absl::InvalidArgumentError("the layout alone fills max_positions");
  }
  stream.max_side_tokens = static_cast<size_t>(side_tokens);
  for (const auto& [name, weight] : config.corpus_weights) {
    const auto it = std::find(corpora.begin(), corpora.end(), name);
    if (it == corpora.end()) {
      return absl::InvalidArgumentError(absl::StrCat("corpus_weights names \"", name,
                                                     "\", which the prepared data does not have"));
    }
    stream.corpus_weights[static_cast<uint16_t>(it - corpora.begin())] = weight;
  }
  trainer->batches_in_epoch_ = PlanEpoch(*samples, stream, 0).size();
  if (trainer->batches_in_epoch_ == 0) {
    return absl::InvalidArgumentError("no sample fits into a batch");
  }
  return trainer;
}

int64_t Trainer::trained_parameters() const {
  int64_t count = 0;
  for (const auto& [name, tensor] : optimizer_.parameters()) count += tensor.numel();
  return count;
}

void Trainer::UseDemonstrations(const DemonstrationIndex* index,
                                const DemonstrationSymbols& symbols) {
  demonstrations_ = index;
  symbols_ = symbols;
  packer_.reset();
}

StepPacker& Trainer::packer() {
  if (packer_ == nullptr) {
    StepPackerOptions options;
    options.order = stream_options_;
    options.accumulation = config_.accumulation;
    options.workers = config_.data_workers;
    PackOptions& pack = options.pack;
    pack.seed = config_.seed;
    pack.schedule = config_.schedule;
    pack.mode = mode_;
    pack.positions = positions_;
    pack.demonstrations = demonstrations_;
    pack.first_sample = samples_->data();
    pack.symbols = symbols_;
    pack.max_prompt_tokens = static_cast<size_t>(model_.max_positions) / 2;
    packer_ = std::make_unique<StepPacker>(samples_, layouts_, options);
  }
  return *packer_;
}

ForwardOptions Trainer::Forward() const {
  ForwardOptions forward;
  forward.bfloat16_products = config_.bfloat16;
  forward.fused = config_.fused && device_.is_cpu();
  forward.bfloat16_activations = config_.bfloat16 && !device_.is_cpu();
  return forward;
}

absl::StatusOr<StepResult> Trainer::TrainStep() {
  return GuardTorchOr<StepResult>("training step", [&]() -> absl::StatusOr<StepResult> {
    // Dropout masks of a step depend on seed and step alone, so a resumed run draws the same.
    torch::manual_seed(RandomStream(config_.seed, "dropout", 0, state_.step).NextBits());
    const PackedStep step = packer().Take({state_.epoch, state_.next_batch});
    state_.epoch = step.after.epoch;
    state_.next_batch = step.after.next_batch;
    batches_in_epoch_ = step.batches_in_epoch;
    StepResult result;
    for (const MicroBatch& batch : step.batches) {
      result.loss_tokens += batch.labels.size(0);
      result.tokens += batch.tokens;
      result.padded_tokens += batch.form.samples * batch.form.columns;
    }
    optimizer_.ZeroGradients();
    torch::Tensor loss_sum = torch::zeros({}, torch::kFloat64).to(device_);
    for (const MicroBatch& batch : step.batches) {
      MicroBatchLoss(batch.To(device_), result.loss_tokens,
                     static_cast<int64_t>(step.batches.size()), &loss_sum, &result)
          .backward();
    }
    result.gradient_norm = optimizer_.ClipGradients();
    result.loss_sum = loss_sum.item<double>();
    if (!std::isfinite(result.loss_sum) || !std::isfinite(result.gradient_norm)) {
      return absl::InternalError(
          absl::StrCat("step ", state_.step,
                       ": loss or gradient is not finite; lower peak_lr or resume from "
                       "the last checkpoint with another seed"));
    }
    result.learning_rate = LearningRate(config_.optimizer, state_.step, config_.max_steps);
    optimizer_.Step(result.learning_rate);
    ++state_.step;
    state_.loss_sum += result.loss_sum;
    state_.loss_tokens += result.loss_tokens;
    state_.tokens += result.tokens;
    return result;
  });
}

torch::Tensor Trainer::MicroBatchLoss(const MicroBatch& batch, int64_t loss_tokens,
                                      int64_t micro_batches, torch::Tensor* loss_sum,
                                      StepResult* result) {
  const bool trains_router = TrainsRouter(config_), trains_model = TrainsModel(config_);
  SftOptions options;
  options.label_smoothing = trains_model ? config_.label_smoothing : 0;
  options.forward = Forward();
  options.forward.dropout = trains_model ? config_.dropout : 0;
  options.forward.adapter_dropout = config_.lora.rank > 0 ? config_.lora.dropout : 0;
  if (!router_.has_value()) {
    const torch::Tensor loss = SftLossSum(model_, weights_, rotary_, batch, options);
    loss_sum->add_(loss.detach());
    return loss / static_cast<double>(loss_tokens);
  }
  const RouterSchedule schedule = RouterScheduleAt(config_, state_.step);
  const torch::Tensor groups =
      trains_model ? WithDenseSamples(batch.form, config_.router.dense_share) : batch.form.groups;
  const bool top_rows = config_.stage == "mod";
  RowGates gates = top_rows
                       ? RowGates::TopRows(router_tensors_, model_, groups, batch.form.columns,
                                           {config_.router.rho_source, config_.router.rho_target})
                   : trains_router ? RowGates::Noisy(router_tensors_, model_, groups, schedule)
                                   : RowGates::Deterministic(router_tensors_, model_, groups);
  torch::Tensor teacher;
  if (config_.router.distill > 0) {
    torch::NoGradGuard no_grad;
    ForwardOptions dense = options.forward;
    dense.dropout = dense.adapter_dropout = 0;
    teacher = RunTrainingForm(model_, weights_, rotary_, batch.form, dense)
                  .index_select(0, batch.label_rows);
  }
  options.forward.gates = gates.function();
  options.forward.gather_rows = !trains_router;
  const torch::Tensor labelled =
      RunTrainingForm(model_, weights_, rotary_, batch.form, options.forward)
          .index_select(0, batch.label_rows);
  const torch::Tensor loss = LabelLossSum(weights_, labelled, batch.labels, options);
  loss_sum->add_(loss.detach());
  torch::Tensor total = loss / static_cast<double>(loss_tokens);
  if (teacher.defined()) {
    total = total + config_.router.distill / static_cast<double>(loss_tokens) *
                        DistillationSum(weights_, teacher, labelled, options.forward);
  }
  const std::array<torch::Tensor, 2> rates = {gates.Rate(0), gates.Rate(1)};
  const std::array<double, 2> values = {rates[0].item<double>(), rates[1].item<double>()};
  const std::array<int64_t, 2> rows = {gates.rows(0), gates.rows(1)};
  for (size_t g = 0; g < 2; ++g) {
    result->skip_rate[g] += values[g] / static_cast<double>(micro_batches);
  }
  if (!trains_router || top_rows) return total;
  const std::array<double, 2> weights = BudgetWeights(config_.router, model_);
  const std::array<torch::Tensor, 2> budgets = {gates.Rate(0, weights), gates.Rate(1, weights)};
  window_.Add({budgets[0].item<double>(), budgets[1].item<double>()}, rows);
  const double alpha = config_.router.alpha > 0 ? config_.router.alpha
                                                : static_cast<double>(model_.num_layers) / 4.0;
  for (size_t g = 0; g < 2; ++g) {
    const double direction = window_.Direction(g, schedule.target_rate[g]);
    if (rows[g] > 0 && direction != 0) {
      total = total + alpha * direction / static_cast<double>(micro_batches) * budgets[g];
    }
  }
  return total;
}

Router Trainer::TrainedRouter() const {
  Router router = *router_;
  CopyRouterTensors(router_tensors_, &router);
  return router;
}

std::vector<NamedParameter> Trainer::CheckpointTensors() const {
  std::vector<NamedParameter> tensors;
  if (TrainsModel(config_)) tensors = ListParameters(weights_);
  if (TrainsRouter(config_)) {
    for (NamedParameter& parameter : ListParameters(router_tensors_)) {
      tensors.push_back(std::move(parameter));
    }
    tensors.push_back(window_.State());
  }
  for (NamedParameter& moment : optimizer_.State()) tensors.push_back(std::move(moment));
  return tensors;
}

absl::Status Trainer::Save(const std::string& folder) {
  return GuardTorch("checkpoint", [&] {
    state_.optimizer_steps = optimizer_.steps();
    return SaveCheckpoint(folder, state_, CheckpointTensors(), config_.keep_checkpoints);
  });
}

absl::StatusOr<bool> Trainer::Resume(const std::string& folder, std::vector<std::string>* skipped) {
  return GuardTorchOr<bool>("checkpoint", [&]() -> absl::StatusOr<bool> {
    const absl::StatusOr<TrainingState> state =
        LoadNewestCheckpoint(folder, CheckpointTensors(), skipped);
    if (absl::IsNotFound(state.status())) return false;
    if (!state.ok()) return state.status();
    if (state->seed != config_.seed) {
      return absl::FailedPreconditionError(
          absl::StrCat(folder, ": was made with seed ", state->seed, ", the config says ",
                       config_.seed, "; use another output folder"));
    }
    state_ = *state;
    optimizer_.set_steps(state_.optimizer_steps);
    batches_in_epoch_ = PlanEpoch(*samples_, stream_options_, state_.epoch).size();
    return true;
  });
}

absl::StatusOr<double> Trainer::DevLoss(const std::vector<Sample>& samples,
                                        const Schedule& schedule) {
  return GuardTorchOr<double>("dev loss", [&]() -> absl::StatusOr<double> {
    torch::NoGradGuard no_grad;
    SampleStreamOptions order = stream_options_;
    order.corpus_weights.clear();
    // One fixed schedule for all samples: a mix of that one kind alone.
    PackOptions pack;
    pack.seed = config_.seed;
    pack.mode = mode_;
    pack.positions = positions_;
    pack.schedule = {schedule.kind == Schedule::Kind::kFull ? 1.0 : 0.0,
                     schedule.kind == Schedule::Kind::kWaitK ? 1.0 : 0.0, 0.0, schedule.k,
                     schedule.k};
    SftOptions options;
    options.forward = Forward();
    double sum = 0;
    int64_t labels = 0;
    for (const std::vector<uint32_t>& indices : PlanEpoch(samples, order, 0)) {
      std::vector<const Sample*> batch;
      for (const uint32_t index : indices) batch.push_back(&samples[index]);
      const MicroBatch packed = Pack(batch, layouts_, pack);
      sum += SftLossSum(model_, weights_, rotary_, packed.To(device_), options).item<double>();
      labels += packed.labels.size(0);
    }
    if (labels == 0) return absl::InvalidArgumentError("no dev sample fits");
    return sum / static_cast<double>(labels);
  });
}

}  // namespace dragoman::model
