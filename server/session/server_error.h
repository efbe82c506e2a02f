// The closed list of reasons why a call ends with an error, as in the error table of the wire
// contract, independent of gRPC. server/rpc maps a reason to a status code and to ErrorInfo.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/status.h"

namespace dragoman::server {

enum class ErrorReason {
  kMessageOrder,
  kMalformedMessage,
  kUnknownOption,
  kValueOutOfRange,
  kBadLabel,
  kBadLanguageTag,
  kLanguagePairUnsupported,
  kModelNotFound,
  kModelLoading,
  kOptionUnsupported,
  kInputKindMismatch,
  kChunkTooLarge,
  kContextTooLarge,
  kTextTooLong,
  kAckAhead,
  kFlushOrder,
  kConfigTimeout,
  kIdleTimeout,
  kDurationLimit,
  kNoCapacity,
  kQueueTimeout,
  kQuotaStreams,
  kQuotaRate,
  kQuotaSource,
  kDraining,
  kSlowReader,
  kTokenMissing,
  kTokenInvalid,
  kTokenExpired,
  kRoleMissing,
  kTokenRevoked,
  kComputeFault,
  kWorkerStalled,
  // Transport ends: the status comes from gRPC, the name appears in logs and metrics only.
  kCancelled,
};
constexpr int kNumErrorReasons = static_cast<int>(ErrorReason::kCancelled) + 1;

// "MESSAGE_ORDER" and so on.
const char* ErrorReasonName(ErrorReason reason);
// The status code of the error table; the numbers are those of gRPC.
absl::StatusCode ErrorReasonCode(ErrorReason reason);

// Why a call ends. `message` is plain English without user text. `metadata` goes into ErrorInfo.
struct ServerError {
  ErrorReason reason = ErrorReason::kMalformedMessage;
  std::string message;
  std::vector<std::pair<std::string, std::string>> metadata;
  std::optional<Duration> retry_after;  // RetryInfo and push-back
};

// Same names and meaning as dragoman.v1.EndReason.
enum class EndReason {
  kNone,
  kComplete,
  kIdle,
  kDuration,
  kDrain,
  kBadRequest,
  kQuota,
  kSlowReader,
  kFault,
  kRevoked,
  kCancelled,  // not on the wire: nobody is there to read it
};
// "complete", "idle" and so on: values of the log field and metric label `end`.
const char* EndReasonName(EndReason reason);

// `value` when it is short and of harmless characters, else its length: metadata never carries text
// that a client may have put into the wrong field.
std::string EchoSafely(const std::string& value);

}  // namespace dragoman::server
