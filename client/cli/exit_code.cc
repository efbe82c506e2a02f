#include "client/cli/exit_code.h"

namespace dragoman::client {

ExitCode ExitCodeForStatus(const CallStatus& status, bool started) {
  const bool from_server = !status.reason.empty();
  switch (status.code) {
    case absl::StatusCode::kOk:
      return ExitCode::kDone;
    case absl::StatusCode::kUnauthenticated:
    case absl::StatusCode::kPermissionDenied:
      return ExitCode::kCredentials;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kUnimplemented:
      return ExitCode::kRefused;
    case absl::StatusCode::kResourceExhausted:
      if (status.reason.rfind("QUOTA_", 0) == 0) return ExitCode::kNoCapacity;
      if (started) return ExitCode::kEndedEarly;
      // Without a reason it is the transport's limit on one message.
      return from_server ? ExitCode::kNoCapacity : ExitCode::kRefused;
    case absl::StatusCode::kUnavailable:
      if (started) return ExitCode::kEndedEarly;
      return from_server ? ExitCode::kNoCapacity : ExitCode::kCannotConnect;
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kOutOfRange:
    case absl::StatusCode::kAborted:
      return started ? ExitCode::kEndedEarly : ExitCode::kRefused;
    default:
      // Whoever answered without a reason of ours was no Dragoman server, or nobody.
      return started || from_server ? ExitCode::kEndedEarly : ExitCode::kCannotConnect;
  }
}

ExitCode ExitCodeForEnd(const StreamEnd& end) {
  if (end.broken_invariant) return ExitCode::kBrokenInvariant;
  if (end.cancelled_by_us) return ExitCode::kInterrupted;
  return ExitCodeForStatus(end.status, end.started);
}

}  // namespace dragoman::client
