#include "client/api/interpreter_client.h"

#include <atomic>
#include <chrono>
#include <utility>

#include "base/mutex.h"
#include "base/status_macros.h"
#include "client/api/credentials.h"
#include "client/api/internal/grpc_status.h"
#include "grpcpp/grpcpp.h"
#include "proto/dragoman/v1/interpreter.grpc.pb.h"

namespace dragoman::client {
namespace {

std::shared_ptr<grpc::ChannelCredentials> MakeCredentials(const ChannelOptions& options,
                                                          const Credentials& credentials) {
  if (options.insecure) return grpc::InsecureChannelCredentials();
  grpc::SslCredentialsOptions ssl;
  ssl.pem_root_certs = credentials.authorities;
  ssl.pem_cert_chain = credentials.certificate;
  ssl.pem_private_key = credentials.key;
  return grpc::SslCredentials(ssl);
}

std::shared_ptr<grpc::Channel> MakeChannel(const ChannelOptions& options,
                                           const Credentials& credentials) {
  StopAbslLockOrderChecks();
  grpc::ChannelArguments arguments;
  const auto set_ms = [&arguments](const char* name, std::chrono::milliseconds value) {
    arguments.SetInt(name, static_cast<int>(value.count()));
  };
  // A connection of its own, and so a fresh look at the addresses of a name.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  // One retry rule for all: ours, in retry.h.
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  set_ms(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, std::chrono::milliseconds(100));
  set_ms(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, std::chrono::milliseconds(5000));
  set_ms(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, options.connect_timeout);
  set_ms(GRPC_ARG_KEEPALIVE_TIME_MS, options.keepalive_period);
  set_ms(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, options.keepalive_timeout);
  // A silent session has no data between pings; the default of 2 would end the pings.
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  if (IsLoopbackServer(options.server)) arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  // Every address of a name is used: a refusal by one replica is followed by a try at the next.
  arguments.SetLoadBalancingPolicyName("round_robin");
  return grpc::CreateCustomChannel(options.server, MakeCredentials(options, credentials),
                                   arguments);
}

}  // namespace

class InterpreterClient::Impl {
 public:
  Impl(const ChannelOptions& options, const Credentials& credentials, const RetryOptions& retry,
       Clock* clock, uint64_t seed)
      : options_(options),
        token_(credentials.token),
        retry_(retry),
        clock_(clock),
        seed_(seed),
        channel_(MakeChannel(options, credentials)),
        stub_(v1::Interpreter::NewStub(channel_)) {}

  std::unique_ptr<TranslateStream> StartStream(const v1::StreamConfig& config,
                                               StreamOptions options) {
    options.token = token_;
    return std::make_unique<TranslateStream>(channel_, config, options, clock_, NextRandom());
  }

  // `method` is a blocking member of the stub.
  template <typename Request, typename Response>
  CallStatus Call(grpc::Status (v1::Interpreter::Stub::*method)(grpc::ClientContext*,
                                                                const Request&, Response*),
                  const Request& request, Response* response) {
    RetrySchedule schedule(retry_, NextRandom());
    while (true) {
      grpc::ClientContext context;
      context.set_deadline(std::chrono::system_clock::now() + options_.unary_deadline);
      AddToken(token_, &context);
      response->Clear();
      const grpc::Status grpc_status = (stub_.get()->*method)(&context, request, response);
      CallStatus status = DecodeGrpcStatus(grpc_status, context);
      if (status.ok()) return status;
      const std::optional<std::chrono::milliseconds> wait = schedule.NextWait(status);
      if (!wait) return status;
      Mutex mutex;
      CondVar never;
      MutexLock lock(&mutex);
      clock_->WaitUntil(&mutex, &never, clock_->Now() + *wait, [] { return false; });
    }
  }

 private:
  // Each call draws its own waits.
  RandomStream NextRandom() { return RandomStream(seed_, "client-retry", 0, calls_.fetch_add(1)); }

  const ChannelOptions options_;
  const std::string token_;
  const RetryOptions retry_;
  Clock* const clock_;
  const uint64_t seed_;
  const std::shared_ptr<grpc::Channel> channel_;
  const std::unique_ptr<v1::Interpreter::Stub> stub_;
  std::atomic<uint64_t> calls_{0};
};

absl::StatusOr<std::unique_ptr<InterpreterClient>> InterpreterClient::Create(
    const ChannelOptions& options, const RetryOptions& retry, Clock* clock, uint64_t seed) {
  DRAGOMAN_RETURN_IF_ERROR(options.Validate());
  DRAGOMAN_ASSIGN_OR_RETURN(const Credentials credentials, LoadCredentials(options));
  return std::unique_ptr<InterpreterClient>(
      new InterpreterClient(std::make_unique<Impl>(options, credentials, retry, clock, seed)));
}

InterpreterClient::InterpreterClient(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
InterpreterClient::~InterpreterClient() = default;

std::unique_ptr<TranslateStream> InterpreterClient::StartStream(const v1::StreamConfig& config,
                                                                const StreamOptions& options) {
  return impl_->StartStream(config, options);
}

CallStatus InterpreterClient::Translate(const v1::TranslateRequest& request,
                                        v1::TranslateResponse* response) {
  return impl_->Call(&v1::Interpreter::Stub::Translate, request, response);
}

CallStatus InterpreterClient::ListModels(const v1::ListModelsRequest& request,
                                         v1::ListModelsResponse* response) {
  return impl_->Call(&v1::Interpreter::Stub::ListModels, request, response);
}

CallStatus InterpreterClient::GetInfo(const v1::GetInfoRequest& request,
                                      v1::GetInfoResponse* response) {
  return impl_->Call(&v1::Interpreter::Stub::GetInfo, request, response);
}

}  // namespace dragoman::client
