// From a step plan to the packed batch of a backbone.
#pragma once

#include <span>
#include <vector>

#include "model/api/step_batch.h"
#include "model/engine/scheduler.h"
#include "model/engine/sequence.h"

namespace dragoman::model {

// A sequence on the engine's side: its state machine and its stream in the backbone.
struct OpenSequence {
  Sequence* sequence = nullptr;
  StreamId stream = 0;
};

// The part of one sequence in a step.
struct StepPart {
  size_t index = 0;  // of the sequence in the plan
  int32_t source_rows = 0;
  int32_t target_rows = 0;
  int32_t first_logits_row = 0;  // of StepOutput
  int32_t logits_rows = 0;
};

// Fills `batch` and `parts` (both are overwritten, their memory is reused). `sequences` in the
// order of the demands that made the plan.
void BuildBatch(const StepPlan& plan, std::span<const OpenSequence> sequences, StepBatch* batch,
                std::vector<StepPart>* parts);

}  // namespace dragoman::model
