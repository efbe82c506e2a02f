// Gauges, computed at the moment of the scrape. Private to server/telemetry.
#pragma once

#include <vector>

#include "prometheus/metric_family.h"
#include "server/telemetry/telemetry.h"

namespace dragoman::server {

std::vector<prometheus::MetricFamily> CollectGauges(const GaugeSources& sources);

}  // namespace dragoman::server
