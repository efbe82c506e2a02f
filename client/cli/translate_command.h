// dragoman translate: a live session between standard input (or a file) and standard output.
#pragma once

#include "client/cli/exit_code.h"
#include "client/cli/translate_options.h"

namespace dragoman::client {

// Runs to the end of the session. Diagnostics go to standard error. Call it before the process has
// other threads: it takes over SIGINT.
ExitCode RunTranslate(const TranslateOptions& options);

}  // namespace dragoman::client
