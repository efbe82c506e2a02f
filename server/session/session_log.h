// The one line that each session leaves in the log. No user text.
#pragma once

#include "base/log.h"
#include "server/session/server_observer.h"

namespace dragoman::server {

void LogSessionEnd(Logger* logger, const SessionSummary& summary);

}  // namespace dragoman::server
