// The result of `dragoman bench` for people and for programs. Pure functions.
#pragma once

#include <optional>
#include <string>

#include "client/load/counter_check.h"
#include "client/load/load_report.h"
#include "client/load/slot_search.h"

namespace dragoman::client {

struct BenchResult {
  // Of the run, or of the search: of the largest trial that held the SLO, else of the last one.
  LoadReport load;
  bool unstable_tail = false;                   // was asked for, so flicker means something
  std::optional<CounterReport> counters;        // with --metrics
  std::optional<SlotSearchResult> slot_search;  // with --find-slots
};

// One object, indented, with a line feed at the end. Units are in the names.
std::string BenchReportJson(const BenchResult& result);
// Several lines, the last with a line feed. The trials of a search are not in it.
std::string BenchReportText(const BenchResult& result);
// "trial: 32 streams, lag p99 0.012 s, first p99 1.204 s, 0 errors: holds".
std::string TrialLine(const SlotTrial& trial);

}  // namespace dragoman::client
