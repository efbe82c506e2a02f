// How the program ends, for scripts that call it.
#pragma once

#include "client/api/call_status.h"
#include "client/api/translate_stream.h"

namespace dragoman::client {

enum class ExitCode {
  kDone = 0,           // all source translated, or the question answered
  kEndedEarly = 1,     // the output is valid up to the last final
  kUsage = 2,          // flags, values or files of this machine
  kCannotConnect = 3,  // no server answered
  kCredentials = 4,
  kRefused = 5,           // the server does not take this request
  kNoCapacity = 6,        // no slot, queue or quota; later or elsewhere it may work
  kSloMissed = 7,         // bench: slower than was asked for
  kBrokenInvariant = 70,  // the server broke a promise of the contract
  kInterrupted = 130,     // second Ctrl-C
};

// `started`: the session had begun, so there may be output.
ExitCode ExitCodeForStatus(const CallStatus& status, bool started);
// Broken promises come first, then the user's own cancel, then the status.
ExitCode ExitCodeForEnd(const StreamEnd& end);

}  // namespace dragoman::client
