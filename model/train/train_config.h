// Everything that decides a training run, from one JSON file. Unknown fields are refused by name.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "model/api/model_config.h"
#include "model/corpus/read_write_plan.h"

namespace dragoman::model {

struct OptimizerConfig {
  double peak_lr = 1e-3;
  int64_t warmup_steps = 2000;
  std::string decay = "inverse_sqrt";  // "inverse_sqrt", "linear", "cosine" or "constant"
  double cooldown_share = 0.15;        // inverse_sqrt, constant: linear to 0 at the end
  double beta1 = 0.9;
  double beta2 = 0.98;
  double epsilon = 1e-8;
  double weight_decay = 0.01;  // matrices only
  double clip = 1.0;           // global gradient norm; 0: off
};

struct LoraConfig {
  int64_t rank = 0;  // 0: full training
  double alpha = 64;
  double dropout = 0.05;
};

// Stages that make or use a router (skip_routing.md sections 5 and 9).
struct RouterConfig {
  double rho_source = 0.25, rho_target = 0.25;  // parameter-weighted skip rates asked for
  double alpha = 0;                             // weight of the budgets; 0: layers / 4
  std::string budget_weights = "par";  // what the budgets weigh: "par" or "bytes", BudgetWeights()
  int64_t budget_context = 256;        // of "bytes"
  // Layers that never skip; nothing: layer 0 of models with at most 12 layers.
  std::optional<std::vector<int64_t>> exempt_layers;
  int64_t calibration_rows = 50000;  // held-out rows, from dev_files
  bool per_layer = false;  // stages router, joint: one decision for both modules of a layer
  std::string prune_method = "static";  // stage prune: ParsePruneMethod() of static_pruning.h
  double distill = 0;                   // weight of KL(dense || routed) per label beside the loss
  double export_loss = 0.01;  // stage export-static: held-out loss that it may cost, nat per label
  double dense_share = 0;     // stages lora, adapt, joint: share of the samples that skip nothing
};

struct PackageText {  // goes into the exported package
  std::string name = "dragoman";
  std::string description;
  std::string license;
  std::string default_policy = "wait-k:3";
};

struct TrainConfig {
  std::string data;    // prepared shards
  std::string output;  // run folder: checkpoints, log, exported package
  // "sft": the model, all weights or adapters. "router": a skip router for a model that stays as it
  // is. "lora", "adapt": adapters, or all weights, under the package's router, which stays as it
  // is. "joint": all weights and the package's router together. "calibrate": thresholds of the
  // package's router. "prune": a router that drops the same modules for all rows. "export-static":
  // a smaller model without the modules that the package's router never runs. "mod": a
  // Mixture-of-Depths router, whose held-out losses are printed and that is not kept, since it
  // cannot be served. All but the first need init_from and dev_files.
  std::string stage = "sft";
  std::string init_from;  // package or Hugging Face folder; empty: from scratch
  ModelConfig model;      // from scratch only; vocabulary from the tokenizer
  int32_t phi = 0;
  // With init_from: train with `phi` instead of the base's. Ablations only.
  bool allow_phi_change = false;
  std::string mode = "group";     // ParseTrainingMode() of mode_layout.h
  std::string positions = "all";  // ParseGroupPositions(); other than "all" only in mode group
  uint64_t seed = 1;
  // "cpu", "cuda" or "cuda:N": where the forward and backward passes and the optimizer run.
  std::string device = "cpu";
  int threads = 2;
  int data_workers = 1;
  bool bfloat16 = true;  // matrix products in bf16
  bool fused = true;     // fused operations (model/torch/fused_ops.h); used on the CPU alone
  ScheduleMix schedule;
  OptimizerConfig optimizer;
  LoraConfig lora;
  RouterConfig router;
  size_t batch_tokens = 4096;  // padded tokens of a micro-batch
  int64_t accumulation = 2;    // micro-batches of an optimizer step
  int64_t max_steps = 1000;
  double label_smoothing = 0.1;
  double dropout = 0.1;
  double demonstration_share = 0;  // of samples with 1 or 2 similar pairs in the prompt
  std::map<std::string, double> corpus_weights;
  int64_t log_every = 50;
  int64_t checkpoint_every = 500;
  int64_t evaluate_every = 2000;
  int64_t keep_checkpoints = 5;        // the exported weights are their average
  std::vector<std::string> dev_files;  // tab-separated pairs for periodic evaluation
  size_t dev_pairs_per_file = 200;
  std::vector<std::string> dev_policies = {"wait-k:3", "wait-k:5", "sentence"};
  PackageText package;

  absl::Status Validate() const;
};

// Errors name file and field.
//   overrides: "field=value" or "object.field=value", applied before reading. A value that is no
//   JSON is taken as a string.
absl::StatusOr<TrainConfig> ReadTrainConfig(const std::string& path,
                                            const std::vector<std::string>& overrides = {});

}  // namespace dragoman::model
