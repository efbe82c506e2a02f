// The flags of `dragoman bench`. Part of the program, not of the library: CLI11 stays in main.
#pragma once

#include "CLI/CLI.hpp"
#include "client/cli/bench_options.h"

namespace dragoman::client {

// All but those of the channel. `options` outlives the parsing.
void AddBenchFlags(CLI::App* command, BenchOptions* options);

}  // namespace dragoman::client
