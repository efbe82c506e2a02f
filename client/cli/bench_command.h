// dragoman bench: many sessions at speaking pace, and how far the text came behind.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/status.h"
#include "client/api/channel_options.h"
#include "client/cli/exit_code.h"
#include "client/load/load_run.h"

namespace dragoman::client {

struct BenchOptions {
  ChannelOptions channel;
  std::string source_language;
  std::string target_language;
  std::string policy;  // empty: the default of the model
  std::string model;   // empty: the default of the server
  size_t streams = 16;
  double rate = 3.0;  // source words a second of each session
  double duration_seconds = 30.0;
  uint64_t seed = 1;
  std::string slo;  // "lag=1s,first=3s"
  bool json = false;
  std::string file;
};

// Upper limits of 99th percentiles.
struct Slo {
  std::optional<double> lag_seconds;
  std::optional<double> first_text_seconds;

  bool Holds(const LoadReport& report) const;
};
// Errors: InvalidArgument. Empty text: no limits.
absl::StatusOr<Slo> ParseSlo(const std::string& text);

ExitCode RunBench(const BenchOptions& options);

}  // namespace dragoman::client
