// Asks a running server on this machine whether it is ready, over its admin port. What the health
// check of a container calls, where no shell and no curl is.
#pragma once

#include <cstdint>
#include <string>

#include "base/clock.h"
#include "base/status.h"

namespace dragoman::server {

// GET /readyz on `host`:`port`; an address that stands for all ("0.0.0.0", "::") is asked on
// loopback. Blocks at most `timeout` for each of connect, send and read.
// Errors: InvalidArgument (host is no address), Unavailable (nobody answers, or not ready).
absl::Status ProbeReady(const std::string& host, uint16_t port, Duration timeout);

}  // namespace dragoman::server
