#include "server/lifecycle/grpc_server.h"

#include <algorithm>
#include <chrono>
#include <climits>
#include <utility>

#include "base/mutex.h"
#include "base/status_macros.h"
#include "grpc/compression.h"
#include "grpc/grpc.h"
#include "grpcpp/ext/proto_server_reflection_plugin.h"
#include "grpcpp/health_check_service_interface.h"
#include "grpcpp/impl/server_builder_option.h"
#include "grpcpp/impl/server_builder_plugin.h"
#include "grpcpp/resource_quota.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server_builder.h"
#include "server/lifecycle/self_probe.h"
#include "server/lifecycle/server_credentials.h"

namespace dragoman::server {
namespace {

// A connection that says nothing holds a descriptor no longer than this.
constexpr int kHandshakeTimeoutMs = 20000;

// The reflection library registers its plugin for every builder of the process as soon as it is
// linked; this takes it out again for one.
class WithoutReflection final : public grpc::ServerBuilderOption {
 public:
  void UpdateArguments(grpc::ChannelArguments*) override {}
  void UpdatePlugins(std::vector<std::unique_ptr<grpc::ServerBuilderPlugin>>* plugins) override {
    std::erase_if(*plugins, [](const std::unique_ptr<grpc::ServerBuilderPlugin>& plugin) {
      return plugin->name() == "proto_server_reflection";
    });
  }
};

void SetTransport(const GrpcServerOptions& options, grpc::ServerBuilder* builder) {
  builder->SetMaxReceiveMessageSize(static_cast<int>(options.max_message_bytes));
  // Identity only: a compressed message gets UNIMPLEMENTED, so nothing can inflate.
  builder->SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_DEFLATE, false);
  builder->SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_GZIP, false);
  builder->SetDefaultCompressionAlgorithm(GRPC_COMPRESS_NONE);
  builder->AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder->AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS,
                              static_cast<int>(options.max_concurrent_streams));
  builder->AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE,
                              static_cast<int>(options.max_metadata_bytes));
  // A fast writer gets 64 to 96 KiB ahead of us, not megabytes.
  builder->AddChannelArgument(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  builder->AddChannelArgument(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, 65536);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS,
                              static_cast<int>(options.keepalive_period.count()));
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS,
                              static_cast<int>(options.keepalive_timeout.count()));
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 10000);
  builder->AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, kHandshakeTimeoutMs);
  grpc::ResourceQuota quota("transport");
  quota.Resize(options.transport_bytes);
  builder->SetResourceQuota(quota);
  // New streams move to a new connection after half an hour; running ones live on.
  builder->AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS, 30 * 60 * 1000);
  builder->AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS, INT_MAX);
}

}  // namespace

GrpcServer::GrpcServer(const GrpcServerOptions& options, std::unique_ptr<grpc::Service> service)
    : options_(options), service_(std::move(service)) {}

absl::StatusOr<std::unique_ptr<GrpcServer>> GrpcServer::Start(
    const GrpcServerOptions& options, std::unique_ptr<grpc::Service> service, Clock* clock,
    std::function<void(AcceptLoop::Refusal)> on_refused) {
  StopAbslLockOrderChecks();
  std::unique_ptr<GrpcServer> result(new GrpcServer(options, std::move(service)));
  DRAGOMAN_ASSIGN_OR_RETURN(result->listener_,
                            AcceptLoop::Listen(options.accept, clock, std::move(on_refused)));
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::ServerBuilder builder;
  if (!options.reflection) builder.SetOption(std::make_unique<WithoutReflection>());
  SetTransport(options, &builder);
  constexpr auto kFromFd = grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD;
  result->acceptor_ = builder.experimental().AddExternalConnectionAcceptor(
      kFromFd, options.certificates == nullptr ? grpc::InsecureServerCredentials()
                                               : MakeTlsCredentials(options.certificates));
  result->probe_acceptor_ = builder.experimental().AddExternalConnectionAcceptor(
      kFromFd, grpc::InsecureServerCredentials());
  builder.RegisterService(result->service_.get());
  result->server_ = builder.BuildAndStart();
  if (result->server_ == nullptr) return absl::InternalError("gRPC did not start");
  // gRPC's own health service begins with SERVING for "".
  result->SetServing(false);
  GrpcServer* const server = result.get();
  server->listener_->Start([server](const AcceptLoop::Connection& connection) {
    Acceptor::NewConnectionParameters parameters;
    parameters.listener_fd = connection.listener;
    parameters.fd = connection.fd;
    (connection.probe ? server->probe_acceptor_ : server->acceptor_)
        ->HandleNewConnection(&parameters);
  });
  return result;
}

GrpcServer::~GrpcServer() { Shutdown(std::chrono::milliseconds(100)); }

absl::Status GrpcServer::Probe(std::chrono::milliseconds patience) {
  return ProbeListener(listener_.get(), patience);
}

void GrpcServer::SetServing(bool serving) {
  grpc::HealthCheckServiceInterface* const health = server_->GetHealthCheckService();
  health->SetServingStatus("", serving);
  for (const std::string& name : options_.health_services) {
    health->SetServingStatus(name, serving);
  }
}

void GrpcServer::StopListening() {
  if (server_ == nullptr || stopping_.joinable()) return;
  listener_->Stop();
  // Sends GOAWAY and then waits until the last call is over, which Shutdown() sees to. Never
  // without a deadline: a call that nobody ends would keep the process for ever.
  stopping_ = std::thread(
      [this] { server_->Shutdown(std::chrono::system_clock::now() + std::chrono::hours(48)); });
}

void GrpcServer::Shutdown(Duration patience) {
  if (server_ == nullptr) return;
  StopListening();
  Mutex mu;
  CondVar changed;
  bool done = false;
  std::thread cut([&] {
    const MutexLock lock(&mu);
    const auto wait = std::chrono::duration_cast<std::chrono::milliseconds>(patience);
    // Again and again: a connection that was in its handshake joins the others later.
    while (!changed.wait_for(mu, wait, [&] { return done; })) {
      grpc_server_cancel_all_calls(server_->c_server());
    }
  });
  stopping_.join();
  {
    const MutexLock lock(&mu);
    done = true;
  }
  changed.notify_all();
  cut.join();
  server_->Wait();
  server_.reset();
}

}  // namespace dragoman::server
