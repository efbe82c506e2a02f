// dragoman bench: many sessions at speaking pace, and how far the text came behind.
#pragma once

#include "client/cli/bench_options.h"
#include "client/cli/exit_code.h"

namespace dragoman::client {

// The report goes to standard output and --out, what went wrong and the progress of a search to
// standard error. Blocks until all sessions have ended.
ExitCode RunBench(const BenchOptions& options);

}  // namespace dragoman::client
