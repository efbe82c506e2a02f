// Translate: a whole text through a session with the sentence policy, answered at once. Same
// session, same admission, same books as a stream; only the transport differs.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/server_callback.h"
#include "proto/dragoman/v1/interpreter.pb.h"
#include "server/rpc/rpc_parts.h"

namespace dragoman::server {

// Rules as in StreamReactor.
class TranslateReactor final : public grpc::ServerUnaryReactor,
                               public SessionTransport,
                               public std::enable_shared_from_this<TranslateReactor> {
 public:
  static TranslateReactor* Start(grpc::CallbackServerContext* context, const RpcParts* parts,
                                 const grpc::ByteBuffer& request, grpc::ByteBuffer* response);

  TranslateReactor(grpc::CallbackServerContext* context, const RpcParts* parts,
                   grpc::ByteBuffer* response);

  void Wake() override;
  void OnCancel() override;
  void OnDone() override;

 private:
  void Begin(const grpc::ByteBuffer& bytes);
  void Take(const SessionEvent& event) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void FinishLocked(const std::optional<ServerError>& error) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Refuse(const ServerError& error);

  grpc::CallbackServerContext* const context_;  // valid until OnDone
  const RpcParts* const parts_;
  const std::string peer_;
  const TimePoint begin_;
  std::shared_ptr<TranslateReactor> self_;

  Mutex mu_;
  grpc::ByteBuffer* const response_;  // valid until Finish
  std::string text_ ABSL_GUARDED_BY(mu_);
  std::string model_ ABSL_GUARDED_BY(mu_);
  std::shared_ptr<Session> session_ ABSL_GUARDED_BY(mu_);
  bool sent_ ABSL_GUARDED_BY(mu_) = false;  // the text was given to the session
  std::vector<FinalEvent> finals_ ABSL_GUARDED_BY(mu_);
  v1::TranslateResponse answer_ ABSL_GUARDED_BY(mu_);
  bool finished_ ABSL_GUARDED_BY(mu_) = false;
};

// Adds segments with their separators and the joined text; exposed for tests.
void FillSegments(const std::string& source, const std::vector<FinalEvent>& finals,
                  v1::TranslateResponse* response);

}  // namespace dragoman::server
