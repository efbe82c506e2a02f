// gRPC status -> CallStatus. For this room only: no other client room sees gRPC.
#pragma once

#include <string>

#include "client/api/call_status.h"
#include "grpcpp/grpcpp.h"

namespace dragoman::client {

// `context` is the one of the finished call: the pushback is in its trailing metadata.
CallStatus DecodeGrpcStatus(const grpc::Status& status, const grpc::ClientContext& context);

// Adds the bearer token to the metadata of a call; an empty one adds nothing.
void AddToken(const std::string& token, grpc::ClientContext* context);

}  // namespace dragoman::client
