// How a call to the server ended: the gRPC status with its error details decoded.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>

#include "base/status.h"

namespace dragoman::client {

struct CallStatus {
  absl::StatusCode code = absl::StatusCode::kOk;  // the same numbers as gRPC
  std::string message;
  // ErrorInfo of the domain "dragoman". An empty reason: the transport made this status, or a
  // server that is not ours.
  std::string reason;
  std::map<std::string, std::string> metadata;
  // RetryInfo.retry_delay: wait at least this long. Unset: no RetryInfo.
  std::optional<std::chrono::milliseconds> retry_delay;
  // grpc-retry-pushback-ms: wait exactly this long. Unset: none, or `retry_forbidden`.
  std::optional<std::chrono::milliseconds> pushback;
  // A negative or unreadable pushback says "do not try again".
  bool retry_forbidden = false;

  bool ok() const { return code == absl::StatusCode::kOk; }
  // One line for people: "UNAVAILABLE NO_CAPACITY: all slots are taken (queued=64 slots=8)".
  std::string ToString() const;
};

// Builds a CallStatus from what gRPC hands out.
//   details: the bytes of grpc-status-details-bin (google.rpc.Status); empty when there are none.
//     Bytes that do not parse are ignored: the status itself still counts.
//   pushback: the value of the trailer grpc-retry-pushback-ms, unset when absent.
CallStatus MakeCallStatus(absl::StatusCode code, std::string message, const std::string& details,
                          const std::optional<std::string>& pushback);

}  // namespace dragoman::client
