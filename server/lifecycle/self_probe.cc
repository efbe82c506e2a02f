#include "server/lifecycle/self_probe.h"

#include <fcntl.h>

#include <memory>
#include <utility>

#include "base/mutex.h"
#include "base/status_macros.h"
#include "grpcpp/channel.h"
#include "grpcpp/client_context.h"
#include "grpcpp/create_channel_posix.h"
#include "grpcpp/generic/generic_stub.h"
#include "grpcpp/support/byte_buffer.h"

namespace dragoman::server {
namespace {

// The answer may come after nobody waits for it any more.
struct Attempt {
  Mutex mu;
  CondVar changed;
  bool done ABSL_GUARDED_BY(mu) = false;
  grpc::Status status ABSL_GUARDED_BY(mu);
  // Holds the channel, whose last owner joins gRPC's callback threads: must not be such a thread.
  std::unique_ptr<grpc::ClientContext> context = std::make_unique<grpc::ClientContext>();
  grpc::ByteBuffer request;
  grpc::ByteBuffer response;
};

}  // namespace

void SelfProbe::RunOnce() {
  const absl::Status status = probe_();
  if (status.ok()) {
    failures_ = 0;
    return;
  }
  on_failure_(status);
  if (++failures_ == kMaxFailures) on_dead_();
}

absl::Status ProbeListener(AcceptLoop* listener, std::chrono::milliseconds patience) {
  DRAGOMAN_ASSIGN_OR_RETURN(const int fd, listener->OpenProbe());
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
  const std::shared_ptr<grpc::Channel> channel = grpc::CreateInsecureChannelFromFd("self", fd);
  grpc::GenericStub stub(channel);
  const auto attempt = std::make_shared<Attempt>();
  const grpc::Slice empty(std::string{});
  attempt->request = grpc::ByteBuffer(&empty, 1);  // HealthCheckRequest for ""
  attempt->context->set_deadline(std::chrono::system_clock::now() + patience);
  stub.UnaryCall(attempt->context.get(), "/grpc.health.v1.Health/Check", {}, &attempt->request,
                 &attempt->response, [attempt](grpc::Status status) {
                   const MutexLock lock(&attempt->mu);
                   attempt->status = std::move(status);
                   attempt->done = true;
                   attempt->changed.notify_all();
                 });
  std::unique_ptr<grpc::ClientContext> context;  // dies outside the lock
  const MutexLock lock(&attempt->mu);
  // gRPC's own deadline needs a gRPC thread; ours does not. Real time: the peer is a real socket.
  const bool done = attempt->changed.wait_for(attempt->mu, patience + std::chrono::seconds(1),
                                              [&] { return attempt->done; });
  if (!done) return absl::DeadlineExceededError("the callback threads do not answer");
  context = std::move(attempt->context);
  if (attempt->status.ok()) return absl::OkStatus();
  return absl::UnavailableError(attempt->status.error_message());
}

}  // namespace dragoman::server
