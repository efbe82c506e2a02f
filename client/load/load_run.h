// Load generator: many live sessions at speaking pace against one server, and what they saw.
// Reads no flags and prints nothing; client/cli does. Every event passes the invariant checks of
// client/api, so a load test is a correctness test as well.
#pragma once

#include "base/clock.h"
#include "base/status.h"
#include "client/api/interpreter_client.h"
#include "client/load/load_options.h"
#include "client/load/load_report.h"

namespace dragoman::client {

// Runs the sessions to their end. One thread per session for reading and one that sends for all.
// Errors: those of Validate(). What happens to single sessions is in the report.
absl::StatusOr<LoadReport> RunLoad(InterpreterClient* client, const LoadOptions& options,
                                   Clock* clock);

}  // namespace dragoman::client
