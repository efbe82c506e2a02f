// Transport of one StreamTranslate call: parses what comes, hands it to the session, writes what
// the session gives. No policy, no model.
//
// Rules: one read and one write in flight; nothing starts after Finish; OnDone gives up the only
// owning reference. All state is under `mu_`, which is held over TakeOutput() and MayRead() of the
// session (they never call back) and over no other call to it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "base/mutex.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/server_callback.h"
#include "proto/dragoman/v1/interpreter.pb.h"
#include "server/rpc/caller.h"
#include "server/rpc/rpc_parts.h"

namespace dragoman::server {

class StreamReactor final : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>,
                            public SessionTransport,
                            public std::enable_shared_from_this<StreamReactor> {
 public:
  // The reactor of a new call. It owns itself until OnDone.
  static StreamReactor* Start(grpc::CallbackServerContext* context, const RpcParts* parts);

  StreamReactor(grpc::CallbackServerContext* context, const RpcParts* parts);

  void Wake() override;  // any thread

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  void Begin();
  void OnHalfClose(const std::shared_ptr<Session>& session);
  void OnMessage(const std::shared_ptr<Session>& session, const v1::StreamRequest& request,
                 uint32_t index);
  void StartSession(const v1::StreamConfig& config);
  // Ends the call, or its session when there is one.
  void Fail(const std::shared_ptr<Session>& session, ServerError error);
  void OnConfigTimeout();
  void FinishLocked(const std::optional<ServerError>& error) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void CancelIfStuck();

  grpc::CallbackServerContext* const context_;  // valid until OnDone
  const RpcParts* const parts_;
  const std::string peer_;
  Client client_;  // set before the first read
  std::shared_ptr<StreamReactor> self_;

  Mutex mu_;
  std::shared_ptr<Session> session_ ABSL_GUARDED_BY(mu_);
  grpc::ByteBuffer read_buffer_;   // gRPC's while a read is in flight
  grpc::ByteBuffer write_buffer_;  // gRPC's while a write is in flight
  uint32_t messages_ ABSL_GUARDED_BY(mu_) = 0;
  bool read_in_flight_ ABSL_GUARDED_BY(mu_) = false;
  bool write_in_flight_ ABSL_GUARDED_BY(mu_) = false;
  bool half_closed_ ABSL_GUARDED_BY(mu_) = false;
  bool cancelled_ ABSL_GUARDED_BY(mu_) = false;
  bool refused_ ABSL_GUARDED_BY(mu_) = false;   // the call is counted as refused, its end is near
  bool starting_ ABSL_GUARDED_BY(mu_) = false;  // a session is being made
  bool finished_ ABSL_GUARDED_BY(mu_) = false;
  bool done_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace dragoman::server
