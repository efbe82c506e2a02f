// Fetches the metrics of a server on this machine: one plain HTTP/1.0 GET per call, loopback only,
// so that nobody takes it for a client of foreign services.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "base/clock.h"
#include "base/status.h"
#include "client/load/exposition.h"

namespace dragoman::client {

// Where the page is.
struct MetricsAddress {
  std::string host;  // a loopback address as numbers, v4 or v6 without brackets
  uint16_t port = 0;
  std::string path;  // begins with '/'
};

// "http://127.0.0.1:9464/metrics"; "localhost" stands for 127.0.0.1, a missing path for /metrics.
// Errors: InvalidArgument for any other scheme, a host that is no loopback address, a missing or
// bad port, and characters that do not belong into a request line.
absl::StatusOr<MetricsAddress> ParseMetricsAddress(const std::string& url);

// Gets and reads the page. Blocks at most `timeout` plus one second.
// Errors: Unavailable when nobody answers in time or not with 200; DataLoss for an answer that is
// cut or no HTTP; those of ParseExposition().
absl::StatusOr<Exposition> FetchMetrics(const MetricsAddress& address, Clock* clock,
                                        std::chrono::milliseconds timeout);

}  // namespace dragoman::client
