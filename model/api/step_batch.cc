#include "model/api/step_batch.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace dragoman::model {
namespace {

bool Asks(const StepRow& row) { return row.want_attention; }

}  // namespace

absl::Status CheckAttention(const StepBatch& batch, const ModelConfig& config) {
  for (const AttentionHead& head : batch.attention_heads) {
    if (head.layer >= 0 && head.layer < config.num_layers && head.head >= 0 &&
        head.head < config.num_heads && config.modules_of(head.layer).attention) {
      continue;
    }
    return absl::InvalidArgumentError(absl::StrCat("attention of layer ", head.layer, ", head ",
                                                   head.head, "; the model has ", config.num_layers,
                                                   " layers of ", config.num_heads,
                                                   " heads, or that layer does not attend"));
  }
  for (const StepRow& row : batch.rows) {
    if (!Asks(row)) continue;
    if (row.side != Side::kTarget) {
      return absl::InvalidArgumentError("attention to the source is asked for by a source row");
    }
    if (batch.attention_heads.empty()) {
      return absl::InvalidArgumentError("attention is asked for, but of no head");
    }
  }
  return absl::OkStatus();
}

void StepOutput::ReserveAttention(const StepBatch& batch) {
  attention.clear();
  attention_begin.clear();
  if (std::none_of(batch.rows.begin(), batch.rows.end(), Asks)) return;
  size_t total = 0;
  for (const StepRow& row : batch.rows) {
    attention_begin.push_back(total);
    if (Asks(row)) total += static_cast<size_t>(row.src_vis);
  }
  attention_begin.push_back(total);
  attention.assign(total, 0.0f);
}

}  // namespace dragoman::model
