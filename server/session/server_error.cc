#include "server/session/server_error.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace dragoman::server {

const char* ErrorReasonName(ErrorReason reason) {
  switch (reason) {
    case ErrorReason::kMessageOrder:
      return "MESSAGE_ORDER";
    case ErrorReason::kMalformedMessage:
      return "MALFORMED_MESSAGE";
    case ErrorReason::kUnknownOption:
      return "UNKNOWN_OPTION";
    case ErrorReason::kValueOutOfRange:
      return "VALUE_OUT_OF_RANGE";
    case ErrorReason::kBadLabel:
      return "BAD_LABEL";
    case ErrorReason::kBadLanguageTag:
      return "BAD_LANGUAGE_TAG";
    case ErrorReason::kLanguagePairUnsupported:
      return "LANGUAGE_PAIR_UNSUPPORTED";
    case ErrorReason::kModelNotFound:
      return "MODEL_NOT_FOUND";
    case ErrorReason::kModelLoading:
      return "MODEL_LOADING";
    case ErrorReason::kOptionUnsupported:
      return "OPTION_UNSUPPORTED";
    case ErrorReason::kInputKindMismatch:
      return "INPUT_KIND_MISMATCH";
    case ErrorReason::kChunkTooLarge:
      return "CHUNK_TOO_LARGE";
    case ErrorReason::kContextTooLarge:
      return "CONTEXT_TOO_LARGE";
    case ErrorReason::kTextTooLong:
      return "TEXT_TOO_LONG";
    case ErrorReason::kAckAhead:
      return "ACK_AHEAD";
    case ErrorReason::kFlushOrder:
      return "FLUSH_ORDER";
    case ErrorReason::kConfigTimeout:
      return "CONFIG_TIMEOUT";
    case ErrorReason::kIdleTimeout:
      return "IDLE_TIMEOUT";
    case ErrorReason::kDurationLimit:
      return "DURATION_LIMIT";
    case ErrorReason::kNoCapacity:
      return "NO_CAPACITY";
    case ErrorReason::kQueueTimeout:
      return "QUEUE_TIMEOUT";
    case ErrorReason::kQuotaStreams:
      return "QUOTA_STREAMS";
    case ErrorReason::kQuotaRate:
      return "QUOTA_RATE";
    case ErrorReason::kQuotaSource:
      return "QUOTA_SOURCE";
    case ErrorReason::kDraining:
      return "DRAINING";
    case ErrorReason::kSlowReader:
      return "SLOW_READER";
    case ErrorReason::kTokenMissing:
      return "TOKEN_MISSING";
    case ErrorReason::kTokenInvalid:
      return "TOKEN_INVALID";
    case ErrorReason::kTokenExpired:
      return "TOKEN_EXPIRED";
    case ErrorReason::kRoleMissing:
      return "ROLE_MISSING";
    case ErrorReason::kTokenRevoked:
      return "TOKEN_REVOKED";
    case ErrorReason::kComputeFault:
      return "COMPUTE_FAULT";
    case ErrorReason::kWorkerStalled:
      return "WORKER_STALLED";
    case ErrorReason::kCancelled:
      return "CANCELLED";
  }
  return "?";
}

absl::StatusCode ErrorReasonCode(ErrorReason reason) {
  switch (reason) {
    case ErrorReason::kMessageOrder:
    case ErrorReason::kMalformedMessage:
    case ErrorReason::kUnknownOption:
    case ErrorReason::kValueOutOfRange:
    case ErrorReason::kBadLabel:
    case ErrorReason::kBadLanguageTag:
    case ErrorReason::kLanguagePairUnsupported:
    case ErrorReason::kInputKindMismatch:
    case ErrorReason::kChunkTooLarge:
    case ErrorReason::kContextTooLarge:
    case ErrorReason::kTextTooLong:
    case ErrorReason::kAckAhead:
    case ErrorReason::kFlushOrder:
      return absl::StatusCode::kInvalidArgument;
    case ErrorReason::kModelNotFound:
      return absl::StatusCode::kNotFound;
    case ErrorReason::kOptionUnsupported:
      return absl::StatusCode::kUnimplemented;
    case ErrorReason::kConfigTimeout:
    case ErrorReason::kIdleTimeout:
      return absl::StatusCode::kDeadlineExceeded;
    case ErrorReason::kDurationLimit:
      return absl::StatusCode::kOutOfRange;
    case ErrorReason::kModelLoading:
    case ErrorReason::kNoCapacity:
    case ErrorReason::kQueueTimeout:
    case ErrorReason::kDraining:
      return absl::StatusCode::kUnavailable;
    case ErrorReason::kQuotaStreams:
    case ErrorReason::kQuotaRate:
    case ErrorReason::kQuotaSource:
    case ErrorReason::kSlowReader:
      return absl::StatusCode::kResourceExhausted;
    case ErrorReason::kTokenMissing:
    case ErrorReason::kTokenInvalid:
    case ErrorReason::kTokenExpired:
      return absl::StatusCode::kUnauthenticated;
    case ErrorReason::kRoleMissing:
    case ErrorReason::kTokenRevoked:
      return absl::StatusCode::kPermissionDenied;
    case ErrorReason::kWorkerStalled:
    case ErrorReason::kComputeFault:
      return absl::StatusCode::kInternal;
    case ErrorReason::kCancelled:
      return absl::StatusCode::kCancelled;
  }
  return absl::StatusCode::kInternal;
}

const char* EndReasonName(EndReason reason) {
  switch (reason) {
    case EndReason::kNone:
      return "refused";
    case EndReason::kComplete:
      return "complete";
    case EndReason::kIdle:
      return "idle";
    case EndReason::kDuration:
      return "duration";
    case EndReason::kDrain:
      return "drain";
    case EndReason::kBadRequest:
      return "bad_request";
    case EndReason::kQuota:
      return "quota";
    case EndReason::kSlowReader:
      return "slow_reader";
    case EndReason::kFault:
      return "fault";
    case EndReason::kRevoked:
      return "revoked";
    case EndReason::kCancelled:
      return "cancelled";
  }
  return "?";
}

std::string EchoSafely(const std::string& value) {
  constexpr size_t kMaxEcho = 64;
  bool harmless = value.size() <= kMaxEcho;
  for (const char c : value) {
    harmless = harmless && (absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-' ||
                            c == '_' || c == '.');
  }
  return harmless ? value : absl::StrCat(value.size(), " bytes");
}

}  // namespace dragoman::server
