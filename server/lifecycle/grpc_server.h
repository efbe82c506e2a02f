// The gRPC listener with its settings: limits, keepalive, connection age, health, reflection.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/status.h"
#include "grpcpp/impl/codegen/service_type.h"
#include "grpcpp/server.h"

namespace dragoman::server {

struct GrpcServerOptions {
  std::string listen = "127.0.0.1:0";
  bool reflection = true;
  uint32_t max_message_bytes = 262144;
  uint32_t max_concurrent_streams = 128;  // per connection
  uint32_t max_metadata_bytes = 8192;
  // Names that the health service knows besides "".
  std::vector<std::string> health_services;
};

// Thread-safe after Start().
class GrpcServer {
 public:
  // Serves `service` in plain text. Health says NOT_SERVING until SetServing(true).
  // Errors: Unavailable when the address cannot be bound.
  static absl::StatusOr<std::unique_ptr<GrpcServer>> Start(const GrpcServerOptions& options,
                                                           std::unique_ptr<grpc::Service> service);
  // Shuts down with a short deadline if Shutdown() was not called.
  ~GrpcServer();

  int port() const { return port_; }
  void SetServing(bool serving);
  // GOAWAY, listener closed, calls that are left are cancelled after `patience`. Blocks.
  void Shutdown(Duration patience);

 private:
  GrpcServer(const GrpcServerOptions& options, std::unique_ptr<grpc::Service> service);

  const GrpcServerOptions options_;
  const std::unique_ptr<grpc::Service> service_;
  std::unique_ptr<grpc::Server> server_;
  int port_ = 0;
};

}  // namespace dragoman::server
