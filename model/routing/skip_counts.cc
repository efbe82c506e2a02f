#include "model/routing/skip_counts.h"

#include "base/check.h"
#include "model/api/gate_rule.h"

namespace dragoman::model {

void SkipCounts::Count(std::span<const StepRow> step_rows, std::span<const uint8_t> gates,
                       int64_t layers) {
  const auto per_row = static_cast<size_t>(layers);
  DRAGOMAN_CHECK(gates.size() == step_rows.size() * per_row);
  rows = calibrated_rows = active_layers = {};
  calibrated_skipped = {};
  skipped.assign(4 * per_row, 0);
  active_.assign(per_row, 0);
  for (size_t r = 0; r < step_rows.size(); ++r) {
    const StepRow& row = step_rows[r];
    const std::span<const uint8_t> bits = gates.subspan(r * per_row, per_row);
    for (size_t l = 0; l < per_row; ++l) active_[l] |= bits[l];
    if (row.group == RowGroup::kForced) continue;
    const size_t group = row.group == RowGroup::kTarget ? 1 : 0;
    std::array<uint32_t, 2> of_row{};
    for (size_t l = 0; l < per_row; ++l) {
      const uint32_t attention = (bits[l] & kRunAttention) == 0, mlp = (bits[l] & kRunMlp) == 0;
      skipped[(group * per_row + l) * 2] += attention;
      skipped[(group * per_row + l) * 2 + 1] += mlp;
      of_row[0] += attention;
      of_row[1] += mlp;
    }
    ++rows[group];
    if (row.skip_offset != 0) continue;
    ++calibrated_rows[group];
    for (size_t m = 0; m < 2; ++m) calibrated_skipped[group][m] += of_row[m];
  }
  for (const uint8_t bits : active_) {
    active_layers[0] += (bits & kRunAttention) != 0;
    active_layers[1] += (bits & kRunMlp) != 0;
  }
}

}  // namespace dragoman::model
