// What the user asked `dragoman bench` to do, and what that means.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/status.h"
#include "client/api/channel_options.h"
#include "client/load/load_options.h"
#include "client/load/metrics_page.h"
#include "client/load/slo.h"
#include "client/load/slot_search.h"

namespace dragoman::client {

// The flags as they came.
struct BenchOptions {
  ChannelOptions channel;
  std::string source_language;
  std::string target_language;
  double theta = 0;    // skip dial; 0: dense
  std::string policy;  // empty: the default of the model
  std::string model;   // empty: the default of the server
  size_t streams = 16;
  double rate = 3.0;  // source words a second of each session
  double duration_seconds = 30.0;
  std::string arrival = "spread";      // "spread", "poisson", "burst"
  std::optional<double> ramp_seconds;  // poisson; default: a third of the duration, at most 10
  std::string chaos;                   // "cancel=.1,slow=.05"
  uint64_t seed = 1;
  std::string slo;  // "lag=1s,first=3s"
  bool find_slots = false;
  std::optional<size_t> max_streams;  // of find_slots; default 1024
  std::string metrics;                // "http://127.0.0.1:9464/metrics"; empty: no check
  bool word_stamps = false;
  bool unstable_tail = false;
  bool json = false;
  std::string out;  // file for the JSON report; empty: none
  std::string file;
};

struct BenchPlan {
  LoadOptions load;
  Slo slo;
  std::optional<SlotSearchOptions> search;
  std::optional<MetricsAddress> metrics;
};

// Each of them: errors are InvalidArgument and name the flag. An empty text sets nothing.
absl::StatusOr<Slo> ParseSlo(const std::string& text);
absl::StatusOr<Arrival> ParseArrival(const std::string& text);
absl::StatusOr<ChaosShares> ParseChaos(const std::string& text);

// Reads the text to speak. Errors: InvalidArgument that names the flag; those of ReadFile().
absl::StatusOr<BenchPlan> MakeBenchPlan(const BenchOptions& options);

}  // namespace dragoman::client
