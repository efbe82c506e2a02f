// Gauges, computed at the moment of the scrape. Private to server/telemetry.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "prometheus/metric_family.h"
#include "server/telemetry/telemetry.h"

namespace dragoman::server {

// What Telemetry itself keeps for the gauges.
struct GaugeState {
  const EdgeStatsSource* edge = nullptr;  // null: the gauges of the edge are left out
  LeakWatch* leaks = nullptr;
  std::vector<std::pair<std::string, Duration>> idle_times;         // of engine threads, by model
  std::map<std::string, std::shared_ptr<SkipWindow>> skip_windows;  // of models with a router
};

std::vector<prometheus::MetricFamily> CollectGauges(const GaugeSources& sources,
                                                    const GaugeState& state);

}  // namespace dragoman::server
