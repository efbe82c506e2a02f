// Who feeds how many rows in the next step. A pure function of demands, budget and cursors.
//
// Target rows go first, because each of them may be a word that a reader waits for; source rows
// share what is left, round robin, so that a long source neither starves nor is starved. A target
// row that waits for source rows of the same step is served after them.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/engine/sequence.h"

namespace dragoman::model {

struct StepBudget {
  int32_t max_rows = 512;         // of the step, at least 1
  int32_t max_source_rows = 256;  // of these, source rows, at least 1
};

// Where the next step begins to serve: the first sequence with this id or a higher one, else the
// first of all. Ids, not indices, so that sequences may come and go between steps.
struct ScheduleCursor {
  SequenceId target = 0;
  SequenceId source = 0;
};

struct RowGrant {
  int32_t source_rows = 0;
  int32_t target_rows = 0;
};

struct StepPlan {
  std::vector<RowGrant> grants;  // one per demand, in the same order
  int32_t source_rows = 0;       // sums
  int32_t target_rows = 0;
  ScheduleCursor next;

  bool empty() const { return source_rows + target_rows == 0; }
};

// `demands` in rising order of sequence id. `plan` is overwritten; its memory is reused.
// Any demand that stays is served within one round of the cursor over all sequences, provided that
// the others' target rows run out, which they do: the guards bound a target by its encoded source.
void Plan(std::span<const RowDemand> demands, const StepBudget& budget,
          const ScheduleCursor& cursor, StepPlan* plan);

}  // namespace dragoman::model
