// What `dragoman-model inspect-skip` says, as text, JSON and CSV. Pure.
#pragma once

#include <array>
#include <cstddef>
#include <string>

#include "base/json.h"
#include "model/routing/skip_inspection.h"
#include "model/routing/skip_statistics.h"

namespace dragoman::model {

// The rates of skip_routing.md section 4.2 that gates alone can tell; they must not be mixed.
struct SkipRates {
  std::array<double, 2> claimed{};    // r_mod: source, target rows
  std::array<double, 2> parameter{};  // r_par
  double flops = 0;                   // r_flop, forced rows and head included
};
SkipRates RatesOf(const SkipStatistics& statistics);

struct SkipReport {
  std::string model, policy;
  std::string router_digest, router_kind;
  std::array<double, 2> calibrated_rates{};  // r_par of the router file
  double theta = 1;                          // dial of the streams
  size_t streams = 0;
  SkipRates rates;
  SkipInspection inspection;
};

// Rates, layers, positions, classes and union activity, for a terminal.
std::string ToText(const SkipReport& report);
// Objects with the names of the fields; cells carry rows, skipped, rate and, where the router was
// asked, mean_margin and near_share. Union activity is there where steps are.
Json ToJson(const SkipReport& report);
// One line a number or cell: table,group,module,layer,key,rows,skipped,rate,mean_margin,near_share.
// What a table does not have is empty; `rows` of the table union are steps, `rate` is the activity.
std::string ToCsv(const SkipReport& report);

}  // namespace dragoman::model
