// gRPC status -> CallStatus. For this room only: no other client room sees gRPC.
#pragma once

#include "client/api/call_status.h"
#include "grpcpp/grpcpp.h"

namespace dragoman::client {

// `context` is the one of the finished call: the pushback is in its trailing metadata.
CallStatus DecodeGrpcStatus(const grpc::Status& status, const grpc::ClientContext& context);

}  // namespace dragoman::client
