// The rows of a step that run a module of a layer. Thread-compatible.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/api/step_routing.h"

namespace dragoman::model {

// Rows that a module computes, ascending, and whose results it keeps.
struct RowSet {
  bool all = true;               // every row of the step is computed
  int64_t count = 0;             // rows computed; they lie behind each other in the buffers
  std::vector<int32_t> rows;     // unless all
  std::vector<uint8_t> dropped;  // per row: it skips the module; empty: no row does

  int64_t row(int64_t i) const { return all ? i : rows[static_cast<size_t>(i)]; }
  bool in_place() const { return all && dropped.empty(); }
  ExecPath path() const {
    if (!all) return count == 0 ? ExecPath::kEmpty : ExecPath::kGather;
    return dropped.empty() ? ExecPath::kDense : ExecPath::kMasked;
  }

  void SelectAll(int64_t num_rows);
  // The rows whose gate byte has `module`; gates [rows, layers]. `gather` false: all are computed
  // and the results of the others dropped.
  void Select(std::span<const uint8_t> gates, int64_t num_rows, int64_t num_layers, int64_t layer,
              uint8_t module, bool gather);

  // Rows of `width` values: copies of those that are computed, and back what is kept of them, so
  // that a row which skips the module keeps its bits. Not needed when in_place().
  void CopyOut(const float* from, int64_t width, float* to) const;
  void CopyBack(const float* from, int64_t width, float* to) const;
};

}  // namespace dragoman::model
