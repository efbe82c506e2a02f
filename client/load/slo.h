// What a service has to hold: upper limits of 99th percentiles.
#pragma once

#include <optional>

#include "client/load/load_report.h"

namespace dragoman::client {

struct Slo {
  std::optional<double> lag_seconds;
  std::optional<double> first_text_seconds;

  // Judges the times alone; sessions that failed are the caller's to judge.
  bool Holds(const LoadReport& report) const;
};

}  // namespace dragoman::client
