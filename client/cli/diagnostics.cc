#include "client/cli/diagnostics.h"

#include <unistd.h>

#include "client/cli/display_text.h"
#include "client/cli/exit_code.h"
#include "client/cli/session_display.h"

namespace dragoman::client {

void PrintDiagnostic(std::string_view message) {
  // One write, so that lines of two threads do not mix.
  WriteFully(STDERR_FILENO, "dragoman: " + OneLine(message) + "\n");
}

void PrintFailure(const CallStatus& status, bool started, const std::string& server) {
  switch (ExitCodeForStatus(status, started)) {
    case ExitCode::kCannotConnect:
      PrintDiagnostic("cannot connect to " + server + ": " + status.ToString());
      break;
    case ExitCode::kEndedEarly:
      PrintDiagnostic("the session ended early, the output is valid up to the last final: " +
                      status.ToString());
      break;
    case ExitCode::kNoCapacity:
      PrintDiagnostic("the server has no room now: " + status.ToString());
      break;
    default:
      PrintDiagnostic("the server refused: " + status.ToString());
  }
}

}  // namespace dragoman::client
