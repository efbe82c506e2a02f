#include "server/rpc/status_mapping.h"

#include <chrono>
#include <string>

#include "absl/strings/str_cat.h"
#include "proto/google/rpc/error.pb.h"

namespace dragoman::server {

grpc::Status ToGrpcStatus(const std::optional<ServerError>& error,
                          grpc::CallbackServerContext* context) {
  if (!error.has_value()) return grpc::Status::OK;
  google::rpc::Status status;
  status.set_code(static_cast<int>(ErrorReasonCode(error->reason)));
  status.set_message(error->message);
  google::rpc::ErrorInfo info;
  info.set_domain(kErrorDomain);
  info.set_reason(ErrorReasonName(error->reason));
  for (const auto& [key, value] : error->metadata) (*info.mutable_metadata())[key] = value;
  status.add_details()->PackFrom(info);
  if (error->retry_after.has_value()) {
    const auto delay = std::chrono::duration_cast<std::chrono::nanoseconds>(*error->retry_after);
    google::rpc::RetryInfo retry;
    retry.mutable_retry_delay()->set_seconds(delay.count() / 1'000'000'000);
    retry.mutable_retry_delay()->set_nanos(static_cast<int32_t>(delay.count() % 1'000'000'000));
    status.add_details()->PackFrom(retry);
    context->AddTrailingMetadata("grpc-retry-pushback-ms", absl::StrCat(delay.count() / 1'000'000));
  }
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), error->message,
                      status.SerializeAsString());
}

}  // namespace dragoman::server
