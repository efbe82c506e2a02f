// Gauges, computed at the moment of the scrape. Private to server/telemetry.
#pragma once

#include <vector>

#include "prometheus/metric_family.h"
#include "server/telemetry/telemetry.h"

namespace dragoman::server {

// `edge` may be null: then the gauges of the edge are left out.
std::vector<prometheus::MetricFamily> CollectGauges(const GaugeSources& sources,
                                                    const EdgeStatsSource* edge);

}  // namespace dragoman::server
