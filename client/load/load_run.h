// Load generator: many live sessions at speaking pace against one server, and what they saw.
// Reads no flags and prints nothing; client/cli does. Every event passes the invariant checks of
// client/api, so a load test is a correctness test as well.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/status.h"
#include "client/api/interpreter_client.h"
#include "proto/dragoman/v1/interpreter.pb.h"

namespace dragoman::client {

struct LoadOptions {
  v1::StreamConfig config;  // of every session
  size_t streams = 1;
  double words_per_second = 3.0;              // source of each session
  std::chrono::milliseconds duration{30000};  // of speaking; the rest of the answers is waited for
  std::vector<std::string>
      words;          // spoken in order, from another place in each session, round about
  uint64_t seed = 1;  // of the place and phase of each session

  // Errors: InvalidArgument that names the field.
  absl::Status Validate() const;
};

// Values of one kind over all sessions.
struct LoadDistribution {
  size_t count = 0;
  double median = 0, p90 = 0, p99 = 0, max = 0;
};
// Nearest rank; all zero for no values.
LoadDistribution Distribute(std::vector<double> values);

struct LoadReport {
  size_t streams = 0;
  size_t completed = 0;                    // status OK and every promise kept
  size_t refused = 0;                      // ended before SessionStarted
  size_t failed = 0;                       // ended otherwise
  std::vector<std::string> errors;         // distinct, at most 8
  std::optional<StreamEnd> first_failure;  // of the first session that did not complete
  size_t broken_invariants = 0;

  uint64_t messages_sent = 0;  // words and the end of each session
  uint64_t events_received = 0;
  uint64_t source_words = 0;  // as sent
  uint64_t target_words = 0;  // as the server counted them
  double seconds = 0;         // from the first start to the last end

  // Seconds from sending source word n to the arrival of text that was written after reading
  // exactly n words: queueing, compute and transport, not the waiting that the policy wants.
  LoadDistribution lag_seconds;
  // Seconds from a session's first word to its first text; here the policy's waiting is in.
  LoadDistribution first_text_seconds;
  // Seconds by which words left later than due: the generator's own weakness. Lags are only worth
  // something while this stays small.
  LoadDistribution late_seconds;
};

// Runs the sessions to their end. One thread per session for reading and one that sends for all.
// Errors: those of Validate(). What happens to single sessions is in the report.
absl::StatusOr<LoadReport> RunLoad(InterpreterClient* client, const LoadOptions& options,
                                   Clock* clock);

}  // namespace dragoman::client
