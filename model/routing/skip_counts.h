// What the rows of one step skipped, counted from the gates that a backbone recorded: the numbers
// behind telemetry. Forced rows count in no budget, so they count here in union activity alone.
// One thread only.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "model/api/step_batch.h"

namespace dragoman::model {

struct SkipCounts {
  // Counts a step anew; keeps its memory. `gates`: [rows, layers] gate bytes.
  void Count(std::span<const StepRow> rows, std::span<const uint8_t> gates, int64_t layers);

  // Rows of a routed stream by the group of a row: 0 source, 1 target.
  std::array<uint32_t, 2> rows{};
  std::vector<uint32_t> skipped;  // [2 groups, layers, 2 modules]: of these, rows that skipped
  // The same, over all layers, of rows whose dial is where the router was calibrated (offset 0).
  std::array<uint32_t, 2> calibrated_rows{};
  std::array<std::array<uint32_t, 2>, 2> calibrated_skipped{};  // [group][module]
  // Layers whose attention and whose MLP some row of the step ran.
  std::array<uint32_t, 2> active_layers{};

 private:
  std::vector<uint8_t> active_;  // [layers] gate bits of any row
};

}  // namespace dragoman::model
