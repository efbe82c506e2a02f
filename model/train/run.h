// Builds the graph of objects of a training run and drives it: start or resume, log, checkpoint,
// evaluate, export. No math.
#pragma once

#include <atomic>
#include <cstdio>
#include <string>

#include "base/clock.h"
#include "base/status.h"
#include "model/package/model_package.h"
#include "model/tokenizer/tokenizer.h"
#include "model/train/train_config.h"

namespace dragoman::model {

struct RunOptions {
  Clock* clock = nullptr;
  // Set from a signal handler: the run saves a checkpoint after the step in progress and returns.
  const std::atomic<bool>* stop = nullptr;
  std::FILE* progress = nullptr;  // one line every config.log_every steps; null: silent
};

// Trains to config.max_steps, from the newest checkpoint of config.output when there is one.
// Writes <output>/checkpoints, <output>/log.jsonl and, at the end or at a stop, <output>/package.
// Errors: InvalidArgument (config, data), FailedPrecondition (tokenizer of the data differs from
// the base model's), Internal (not finite).
absl::Status RunTraining(const TrainConfig& config, const RunOptions& options);

// Exports the mean of the newest `keep_checkpoints` checkpoints of a run as a package.
absl::Status ExportRun(const TrainConfig& config, const std::string& package_folder,
                       bool bfloat16_weights);

// The layout of models trained from scratch: <s> <2xx> <src> source <eos_src> | <tgt> target </s>.
// Errors: FailedPrecondition when the vocabulary lacks one of these symbols.
absl::StatusOr<PackageManifest> SmallModelManifest(const Tokenizer& tokenizer,
                                                   const std::string& source_language,
                                                   const std::vector<std::string>& languages,
                                                   const TrainConfig& config);

}  // namespace dragoman::model
