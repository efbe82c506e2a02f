// Checkpoints: all that is needed to go on as if nothing had happened. A checkpoint is a folder
// step-<N> that appears by one rename, with the digest of its tensors inside; a cut or damaged one
// is skipped for the one before (docs/formats/checkpoint.md).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "model/torch/weights.h"

namespace dragoman::model {

struct TrainingState {
  int64_t step = 0;  // optimizer steps done
  int64_t optimizer_steps = 0;
  uint64_t epoch = 0;
  uint64_t next_batch = 0;  // cursor into PlanEpoch(epoch)
  uint64_t seed = 0;
  int64_t loss_tokens = 0;  // since the last log line
  double loss_sum = 0;
  double seconds = 0;  // trained so far, over all starts
  int64_t tokens = 0;  // trained so far, without padding
};

// Writes `folder`/step-<N> and removes all but the newest `keep`. Errors: Unavailable (disk).
absl::Status SaveCheckpoint(const std::string& folder, const TrainingState& state,
                            const std::vector<NamedParameter>& tensors, int64_t keep);

// Copies the tensors of the newest undamaged checkpoint into `tensors` (matched by name and shape).
// NotFound when there is none. `skipped` gets a line for each damaged one.
absl::StatusOr<TrainingState> LoadNewestCheckpoint(const std::string& folder,
                                                   const std::vector<NamedParameter>& tensors,
                                                   std::vector<std::string>* skipped);

// Mean of the given tensors over the checkpoints of `folder`, newest `count`, written into them.
// Returns how many were averaged. Errors: NotFound when there is none.
absl::StatusOr<int64_t> AverageCheckpoints(const std::string& folder, int64_t count,
                                           const std::vector<NamedParameter>& tensors);

// Step numbers of the complete checkpoints, oldest first.
std::vector<int64_t> ListCheckpoints(const std::string& folder);

}  // namespace dragoman::model
