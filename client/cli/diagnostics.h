// Messages for people on standard error: one line each, "dragoman: ...", no control characters.
#pragma once

#include <string>
#include <string_view>

#include "client/api/call_status.h"

namespace dragoman::client {

// Thread-safe.
void PrintDiagnostic(std::string_view message);
// Says why a call failed, and for a server that did not answer how to reach one.
void PrintFailure(const CallStatus& status, bool started, const std::string& server);

}  // namespace dragoman::client
