// The training loop's body: batches in order, backward, clip, optimizer, schedule, resume. Knows
// no files but checkpoints and no terminal. One thread only.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "model/corpus/sample.h"
#include "model/corpus/sample_stream.h"
#include "model/train/checkpoint.h"
#include "model/train/optimizer.h"
#include "model/train/router_stage.h"
#include "model/train/sft_stage.h"
#include "model/train/step_packer.h"
#include "model/train/train_config.h"

namespace dragoman::model {

struct StepResult {
  double loss_sum = 0;  // nat, over all labels of the step
  int64_t loss_tokens = 0;
  int64_t tokens = 0;  // both sides, without padding
  int64_t padded_tokens = 0;
  double gradient_norm = 0;
  double learning_rate = 0;
  std::array<double, 2> skip_rate{};  // parameter-weighted, source and target rows; with a router
};

class Trainer {
 public:
  // `samples` must outlive the trainer. `layouts` by Sample::language; `corpora` are the names that
  // config.corpus_weights speaks of. Weights must be fp32; they are moved to config.device.
  // `router`: what stage router trains and what gates the rows of stage lora.
  // Errors: InvalidArgument (no sample fits, unknown corpus in corpus_weights), those of
  // ParseDevice().
  static absl::StatusOr<std::unique_ptr<Trainer>> Create(
      const TrainConfig& config, const ModelConfig& model, const std::vector<Sample>* samples,
      const std::vector<std::string>& corpora, std::vector<StreamLayout> layouts,
      TransformerWeights weights, std::optional<Router> router = {});

  // Samples get demonstrations from now on. `index` must outlive the trainer.
  void UseDemonstrations(const DemonstrationIndex* index, const DemonstrationSymbols& symbols);

  // One optimizer step. Errors: Internal when the loss is not finite or libtorch fails.
  absl::StatusOr<StepResult> TrainStep();

  absl::Status Save(const std::string& folder);
  // True when a checkpoint was found and loaded; `skipped` gets a line per damaged one.
  absl::StatusOr<bool> Resume(const std::string& folder, std::vector<std::string>* skipped);

  // Mean loss per label over samples under one schedule, without dropout or smoothing.
  absl::StatusOr<double> DevLoss(const std::vector<Sample>& samples, const Schedule& schedule);

  // The router with its trained values; only with one.
  Router TrainedRouter() const;
  const TransformerWeights& weights() const { return weights_; }
  const ModelConfig& model() const { return model_; }
  TrainingState& state() { return state_; }
  size_t batches_in_epoch() const { return batches_in_epoch_; }
  int64_t trained_parameters() const;

 private:
  Trainer(const TrainConfig& config, const ModelConfig& model, const torch::Device& device,
          const std::vector<Sample>* samples, std::vector<StreamLayout> layouts,
          TransformerWeights weights, std::optional<Router> router);
  StepPacker& packer();
  ForwardOptions Forward() const;
  std::vector<NamedParameter> CheckpointTensors() const;
  // Loss of one micro-batch on the device, as backward() takes it; adds to `loss_sum` (fp64, on
  // the device) and to the skip rates of `result`.
  torch::Tensor MicroBatchLoss(const MicroBatch& batch, int64_t loss_tokens, int64_t micro_batches,
                               torch::Tensor* loss_sum, StepResult* result);

  const TrainConfig config_;
  const ModelConfig model_;
  const torch::Device device_;
  const std::vector<Sample>* const samples_;
  const std::vector<StreamLayout> layouts_;
  TransformerWeights weights_;
  RotaryTable rotary_;
  std::optional<Router> router_;
  RouterTensors router_tensors_;  // of router_
  BudgetWindow window_;
  AdamW optimizer_;
  StreamMode mode_ = StreamMode::kGroup;
  GroupPositions positions_ = GroupPositions::kAll;
  SampleStreamOptions stream_options_;
  const DemonstrationIndex* demonstrations_ = nullptr;
  DemonstrationSymbols symbols_;
  TrainingState state_;
  size_t batches_in_epoch_ = 0;
  std::unique_ptr<StepPacker> packer_;  // null before the first step
};

}  // namespace dragoman::model
