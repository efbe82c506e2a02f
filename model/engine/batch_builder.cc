#include "model/engine/batch_builder.h"

#include "base/check.h"

namespace dragoman::model {

void BuildBatch(const StepPlan& plan, std::span<const OpenSequence> sequences, StepBatch* batch,
                std::vector<StepPart>* parts) {
  DRAGOMAN_CHECK(plan.grants.size() == sequences.size());
  batch->rows.clear();
  parts->clear();
  int32_t next_logits_row = 0;
  for (size_t i = 0; i < sequences.size(); ++i) {
    const RowGrant& grant = plan.grants[i];
    if (grant.source_rows + grant.target_rows == 0) continue;
    StepPart part{.index = i, .source_rows = grant.source_rows, .target_rows = grant.target_rows};
    part.first_logits_row = next_logits_row;
    part.logits_rows = sequences[i].sequence->AppendRows(grant.source_rows, grant.target_rows,
                                                         sequences[i].stream, batch);
    next_logits_row += part.logits_rows;
    parts->push_back(part);
  }
}

}  // namespace dragoman::model
