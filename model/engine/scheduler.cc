#include "model/engine/scheduler.h"

#include <algorithm>

namespace dragoman::model {
namespace {

size_t FirstIndex(std::span<const RowDemand> demands, SequenceId cursor) {
  const auto first =
      std::lower_bound(demands.begin(), demands.end(), cursor,
                       [](const RowDemand& demand, SequenceId id) { return demand.sequence < id; });
  return first == demands.end() ? 0 : static_cast<size_t>(first - demands.begin());
}

}  // namespace

void Plan(std::span<const RowDemand> demands, const StepBudget& budget,
          const ScheduleCursor& cursor, StepPlan* plan) {
  const size_t count = demands.size();
  plan->grants.assign(count, {});
  plan->source_rows = plan->target_rows = 0;
  plan->next = cursor;
  if (count == 0) return;

  int32_t wanting = 0;
  for (const RowDemand& demand : demands) wanting += demand.source_rows > 0 ? 1 : 0;
  // One row of every larger step is kept for source, so that decoding never blocks all prefill.
  int32_t target_left = budget.max_rows - (wanting > 0 && budget.max_rows > 1 ? 1 : 0);

  const size_t target_first = FirstIndex(demands, cursor.target);
  bool target_missed = false;
  for (size_t i = 0; i < count; ++i) {
    const size_t at = (target_first + i) % count;
    const RowDemand& demand = demands[at];
    if (demand.target_rows == 0 || demand.source_needed > 0) continue;
    const int32_t rows = std::min(demand.target_rows, target_left);
    if (rows == 0) {
      if (!target_missed) plan->next.target = demand.sequence;
      target_missed = true;
      continue;
    }
    plan->grants[at].target_rows = rows;
    plan->target_rows += rows;
    target_left -= rows;
  }

  int32_t source_left = std::min(budget.max_source_rows, budget.max_rows - plan->target_rows);
  const size_t source_first = FirstIndex(demands, cursor.source);
  if (wanting > 0 && source_left > 0) {
    const int32_t share = std::max(1, source_left / wanting);
    // First an equal share for each, then the rest to whoever comes first.
    for (const bool equal : {true, false}) {
      for (size_t i = 0; i < count && source_left > 0; ++i) {
        const size_t at = (source_first + i) % count;
        RowGrant& grant = plan->grants[at];
        const int32_t open = demands[at].source_rows - grant.source_rows;
        const int32_t rows = std::min({open, source_left, equal ? share : open});
        if (rows == 0) continue;
        grant.source_rows += rows;
        plan->source_rows += rows;
        source_left -= rows;
        // The one served last in the first round is behind all others in the next step.
        if (equal) plan->next.source = demands[at].sequence + 1;
      }
    }
  }

  target_left = budget.max_rows - plan->target_rows - plan->source_rows;
  for (size_t i = 0; i < count && target_left > 0; ++i) {
    const size_t at = (target_first + i) % count;
    const RowDemand& demand = demands[at];
    if (demand.source_needed == 0 || plan->grants[at].source_rows < demand.source_needed) continue;
    const int32_t rows = std::min(demand.target_rows, target_left);
    plan->grants[at].target_rows = rows;
    plan->target_rows += rows;
    target_left -= rows;
  }
}

}  // namespace dragoman::model
