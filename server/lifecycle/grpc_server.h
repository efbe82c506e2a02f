// The gRPC server with its settings: limits, keepalive, connection age, health, reflection. What it
// serves comes from our own accept loop.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/status.h"
#include "grpcpp/impl/codegen/service_type.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"
#include "server/lifecycle/accept_loop.h"
#include "server/security/certificate_store.h"

namespace dragoman::server {

struct GrpcServerOptions {
  AcceptOptions accept;
  // Null: plain text.
  std::shared_ptr<const CertificateStore> certificates;
  bool reflection = true;
  uint32_t max_message_bytes = 262144;
  uint32_t max_concurrent_streams = 128;  // per connection
  uint32_t max_metadata_bytes = 8192;
  // Memory of the transport (buffers of reads, writes and calls); beyond it connections are made to
  // wait and then refused.
  size_t transport_bytes = size_t{256} << 20;
  // Pings on a quiet connection, and how long their answer may take: a peer that is gone without a
  // word is found after the sum.
  std::chrono::milliseconds keepalive_period{30000};
  std::chrono::milliseconds keepalive_timeout{10000};
  // Names that the health service knows besides "".
  std::vector<std::string> health_services;
};

// Thread-safe after Start().
class GrpcServer {
 public:
  // Serves `service`. Health says NOT_SERVING until SetServing(true).
  // Errors: Unavailable when the address cannot be bound.
  static absl::StatusOr<std::unique_ptr<GrpcServer>> Start(
      const GrpcServerOptions& options, std::unique_ptr<grpc::Service> service, Clock* clock,
      std::function<void(AcceptLoop::Refusal)> on_refused);
  // Shuts down with a short deadline if Shutdown() was not called.
  ~GrpcServer();

  int port() const { return listener_->port(); }
  size_t connections() { return listener_->connections(); }
  // One question over a new connection to ourselves (self_probe.h). Blocks.
  absl::Status Probe(std::chrono::milliseconds patience);
  void SetServing(bool serving);
  // GOAWAY to all connections, listener closed. Running calls go on. Not with Probe() in progress.
  void StopListening();
  // StopListening(), then calls that are left after `patience` are cancelled. Blocks.
  void Shutdown(Duration patience);

 private:
  using Acceptor = grpc::experimental::ExternalConnectionAcceptor;

  GrpcServer(const GrpcServerOptions& options, std::unique_ptr<grpc::Service> service);

  const GrpcServerOptions options_;
  const std::unique_ptr<grpc::Service> service_;
  std::unique_ptr<AcceptLoop> listener_;
  // gRPC's way in for connections that we accepted: of clients, and of our own probes, which come
  // without TLS.
  std::unique_ptr<Acceptor> acceptor_;
  std::unique_ptr<Acceptor> probe_acceptor_;
  std::unique_ptr<grpc::Server> server_;
  std::thread stopping_;  // in grpc::Server::Shutdown(), which waits for running calls
};

}  // namespace dragoman::server
