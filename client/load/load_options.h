// What a load run does.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "client/load/arrival.h"
#include "client/load/chaos.h"
#include "proto/dragoman/v1/interpreter.pb.h"

namespace dragoman::client {

struct LoadOptions {
  v1::StreamConfig config;  // of every session
  size_t streams = 1;
  double words_per_second = 3.0;              // source of each session
  std::chrono::milliseconds duration{30000};  // of speaking; the rest of the answers is waited for
  std::vector<std::string>
      words;  // spoken in order, from another place in each session, round about
  Arrival arrival = Arrival::kSpread;
  // kPoisson: all sessions have begun by then. Speaking ends for all at `duration`, so late ones
  // say less.
  std::chrono::milliseconds ramp{10000};
  ChaosShares chaos;
  uint64_t seed = 1;  // of places, starts, roles, and the moments of cancels and slow reads

  // Errors: InvalidArgument that names the field.
  absl::Status Validate() const;
};

}  // namespace dragoman::client
