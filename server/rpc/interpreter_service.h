// The four RPCs of dragoman.v1.Interpreter, all registered as raw bytes.
#pragma once

#include <memory>

#include "grpcpp/impl/codegen/service_type.h"
#include "server/rpc/rpc_parts.h"

namespace dragoman::server {

// `parts` are copied; what they point to outlives the gRPC server.
std::unique_ptr<grpc::Service> MakeInterpreterService(const RpcParts& parts);

// Full name for the health service.
constexpr char kInterpreterServiceName[] = "dragoman.v1.Interpreter";

}  // namespace dragoman::server
