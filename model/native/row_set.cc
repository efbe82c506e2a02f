#include "model/native/row_set.h"

#include <algorithm>

namespace dragoman::model {

void RowSet::SelectAll(int64_t num_rows) {
  all = true;
  count = num_rows;
  rows.clear();
  dropped.clear();
}

void RowSet::Select(std::span<const uint8_t> gates, int64_t num_rows, int64_t num_layers,
                    int64_t layer, uint8_t module, bool gather) {
  SelectAll(num_rows);
  for (int64_t r = 0; r < num_rows; ++r) {
    const bool runs = (gates[static_cast<size_t>(r * num_layers + layer)] & module) != 0;
    dropped.push_back(runs ? 0 : 1);
    if (runs) rows.push_back(static_cast<int32_t>(r));
  }
  const auto running = static_cast<int64_t>(rows.size());
  if (running == num_rows) dropped.clear();
  if (running == num_rows || !gather) return;
  all = false;
  count = running;
}

void RowSet::CopyOut(const float* from, int64_t width, float* to) const {
  for (int64_t i = 0; i < count; ++i) {
    const float* const source = from + row(i) * width;
    std::copy(source, source + width, to + i * width);
  }
}

void RowSet::CopyBack(const float* from, int64_t width, float* to) const {
  for (int64_t i = 0; i < count; ++i) {
    if (all && !dropped.empty() && dropped[static_cast<size_t>(i)] != 0) continue;
    const float* const source = from + i * width;
    std::copy(source, source + width, to + row(i) * width);
  }
}

}  // namespace dragoman::model
