#include "client/api/call_status.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/numbers.h"
#include "proto/google/rpc/error.pb.h"

namespace dragoman::client {
namespace {

// A duration of the wire as milliseconds, never negative and never past a day.
std::chrono::milliseconds ToMilliseconds(int64_t seconds, int32_t nanos) {
  constexpr int64_t kDaySeconds = 86400;
  const int64_t whole = std::clamp<int64_t>(seconds, 0, kDaySeconds);
  const int64_t rest = std::clamp<int64_t>(nanos, 0, 999999999);
  return std::chrono::milliseconds(whole * 1000 + rest / 1000000);
}

}  // namespace

std::string CallStatus::ToString() const {
  std::string text = absl::StatusCodeToString(code);
  if (!reason.empty()) absl::StrAppend(&text, " ", reason);
  if (!message.empty()) absl::StrAppend(&text, ": ", message);
  if (!metadata.empty()) {
    const char* separator = " (";
    for (const auto& [key, value] : metadata) {
      absl::StrAppend(&text, separator, key, "=", value);
      separator = " ";
    }
    text += ")";
  }
  return text;
}

CallStatus MakeCallStatus(absl::StatusCode code, std::string message, const std::string& details,
                          const std::optional<std::string>& pushback) {
  CallStatus status;
  status.code = code;
  status.message = std::move(message);
  google::rpc::Status rpc_status;
  if (!details.empty() && rpc_status.ParseFromString(details)) {
    for (const google::protobuf::Any& detail : rpc_status.details()) {
      google::rpc::ErrorInfo error_info;
      google::rpc::RetryInfo retry_info;
      if (detail.UnpackTo(&error_info) && error_info.domain() == "dragoman") {
        status.reason = error_info.reason();
        status.metadata.insert(error_info.metadata().begin(), error_info.metadata().end());
      } else if (detail.UnpackTo(&retry_info)) {
        status.retry_delay =
            ToMilliseconds(retry_info.retry_delay().seconds(), retry_info.retry_delay().nanos());
      }
    }
  }
  if (pushback) {
    int64_t milliseconds = 0;
    if (absl::SimpleAtoi(*pushback, &milliseconds) && milliseconds >= 0) {
      status.pushback = std::chrono::milliseconds(milliseconds);
    } else {
      status.retry_forbidden = true;
    }
  }
  return status;
}

}  // namespace dragoman::client
