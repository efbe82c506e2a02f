// How a backbone ran a step in which some row could skip a module: for telemetry and inspection,
// without effect on results.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace dragoman::model {

// How a module of a layer was computed: for all rows, for the rows that run it alone, for all rows
// with the results of some dropped, or not at all because every row skipped it.
enum class ExecPath : uint8_t { kDense, kGather, kMasked, kEmpty };
constexpr size_t kNumExecPaths = 4;

// "dense", "gather", "masked", "empty".
constexpr std::string_view ExecPathName(ExecPath path) {
  switch (path) {
    case ExecPath::kDense:
      return "dense";
    case ExecPath::kGather:
      return "gather";
    case ExecPath::kMasked:
      return "masked";
    case ExecPath::kEmpty:
      return "empty";
  }
  return "";
}

// All zero, and no scores, for a step whose rows were all forced. Reused between steps.
struct StepRouting {
  // Clears the numbers and keeps the memory.
  void Clear() {
    module_calls = {};
    weight_bytes_saved = kv_bytes_saved = router_ns = 0;
    scores.clear();
  }
  uint32_t& calls(ExecPath path) { return module_calls[static_cast<size_t>(path)]; }
  uint32_t calls(ExecPath path) const { return module_calls[static_cast<size_t>(path)]; }

  std::array<uint32_t, kNumExecPaths> module_calls{};  // two a layer, by ExecPath
  int64_t weight_bytes_saved = 0;  // of weight matrices, against a step that runs all modules
  int64_t kv_bytes_saved = 0;      // keys and values that no skipped row read
  int64_t router_ns = 0;           // time of the router's products, summed over threads
  // Scores z before the threshold, [rows, layers, 2 modules]; not a number for forced rows and
  // exempt layers. Only with BackendOptions::record_scores and a router.
  std::vector<float> scores;
};

}  // namespace dragoman::model
