// Metric truth from outside (service.md: at rest the counters equal what happened): compares the
// counters of a server before and after a run with what the client saw. Holds only while this
// client is the server's only one.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/status.h"
#include "client/load/exposition.h"
#include "client/load/run_counts.h"

namespace dragoman::client {

// Reads the counters; may be called many times.
using MetricsSource = std::function<absl::StatusOr<Exposition>()>;

struct CounterResult {
  std::string name;     // with the labels that were picked
  int64_t server = 0;   // growth of a counter during the run; value of a gauge after it
  CountRange expected;  // by the client; a gauge has to be 0 at rest

  bool agrees() const;
  // "NAME: the server says 7, the client 5 or more".
  std::string ToString() const;
};

struct CounterReport {
  std::vector<CounterResult> results;
  std::vector<std::string> absent;  // counters that this server does not have: not checked

  // Also false when the page has none of the counters: then it is not that of a Dragoman server.
  bool agrees() const;
};

// `before` and `after` at rest. Pure.
CounterReport CompareCounters(const Exposition& before, const Exposition& after,
                              const RunCounts& counts);

// How long the last sessions may take to be booked after the client has seen their end, and how
// often that is looked at: the page has no way to wake us.
struct RestLimits {
  std::chrono::milliseconds limit{5000};
  std::chrono::milliseconds period{50};
};

// Waits until no session, slot or page of the KV cache is in use and gives the counters of then.
// Errors: FailedPrecondition with the gauges when others use the server; those of `source`.
absl::StatusOr<Exposition> ReadAtRest(const MetricsSource& source, Clock* clock,
                                      const RestLimits& limits);

// Compares until all agree or the time is over; the last comparison counts. Errors: of `source`.
absl::StatusOr<CounterReport> CheckAtRest(const MetricsSource& source, const Exposition& before,
                                          const RunCounts& counts, Clock* clock,
                                          const RestLimits& limits);

}  // namespace dragoman::client
