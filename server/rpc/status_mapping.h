// The one place where our errors become gRPC statuses: code, message, ErrorInfo and RetryInfo in
// `grpc-status-details-bin`, and the push-back of retry policies.
#pragma once

#include <optional>

#include "grpcpp/server_context.h"
#include "grpcpp/support/status.h"
#include "server/session/server_error.h"

namespace dragoman::server {

constexpr char kErrorDomain[] = "dragoman";

// OK when there is no error. Adds "grpc-retry-pushback-ms" to the trailing metadata of `context`
// when the error says when to come back.
grpc::Status ToGrpcStatus(const std::optional<ServerError>& error,
                          grpc::CallbackServerContext* context);

}  // namespace dragoman::server
