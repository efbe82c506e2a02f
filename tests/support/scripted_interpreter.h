// A server of dragoman.v1.Interpreter that does what a test says: real gRPC on a loopback port, no
// model. For client tests; the event builder keeps the promises of the contract unless the test
// breaks one by hand.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "grpcpp/grpcpp.h"
#include "proto/dragoman/v1/interpreter.grpc.pb.h"

namespace dragoman::testing {

using ServerStream = grpc::ServerReaderWriter<v1::StreamEvent, v1::StreamRequest>;

// A status with ErrorInfo of the domain "dragoman", and RetryInfo when `retry_ms` is set.
grpc::Status Refusal(grpc::StatusCode code, const std::string& reason,
                     const std::map<std::string, std::string>& metadata = {},
                     std::optional<int> retry_ms = std::nullopt);

// The server's half of one session: counts seq, offsets and usage. One thread only.
class ScriptedSession {
 public:
  ScriptedSession(grpc::ServerContext* server_context, ServerStream* stream)
      : server_context_(server_context), stream_(stream) {}

  // Reads the first message, which must be a config.
  bool ReadConfig();
  const v1::StreamConfig& config() const { return config_; }
  // Reads the next message and counts its source. False: half-close, or the client is gone.
  bool Read(v1::StreamRequest* request);
  bool client_gone() const { return server_context_->IsCancelled(); }

  void SendStarted();
  // Stable text of the open segment; opens one if there is none. `text` is one word with the blank
  // before it, or the rest of one.
  void SendStable(const std::string& text);
  // Closes the open segment at the source read so far.
  void SendFinal(v1::FinalReason reason, uint32_t client_id = 0);
  void SendFlushDone(uint32_t id);
  // SessionEnded with all source translated.
  void SendEnded(v1::EndReason reason);
  // Any event; sets seq and time_ms.
  void Send(v1::StreamEvent event);

  // What the next event will be numbered, so that a test can break it.
  uint32_t next_seq = 1;
  bool segment_open() const { return segment_open_; }
  // The events as they would be sent, for tests that change them first.
  v1::StreamEvent MakeFinal(v1::FinalReason reason, uint32_t client_id = 0);
  v1::StreamEvent MakeEnded(v1::EndReason reason);

 private:
  v1::SourcePosition Position(uint32_t bytes, uint32_t words) const;

  grpc::ServerContext* const server_context_;
  ServerStream* const stream_;
  v1::StreamConfig config_;
  uint32_t received_bytes_ = 0;
  uint32_t received_words_ = 0;
  bool in_word_ = false;
  bool segment_open_ = false;
  uint32_t segment_ = 0;
  std::string text_;
  uint32_t segment_begin_bytes_ = 0;
  uint32_t segment_begin_words_ = 0;
  v1::SegmentFinal open_final_;  // stamps of the open segment
  uint32_t target_words_ = 0;
};

// A whole good session: each source word comes back in upper case once it is complete, a word that
// ends with a full stop closes its segment, flush and end_segment are answered, half-close ends
// with OK. Does the work of a translator for tests that are about the way of the text.
grpc::Status UpperCaseSession(grpc::ServerContext* server_context, ServerStream* stream);

class ScriptedInterpreter final : public v1::Interpreter::Service {
 public:
  using Script = std::function<grpc::Status(grpc::ServerContext*, ServerStream*)>;

  // Listens at once on a free loopback port. `script` runs for every stream, in a thread of gRPC.
  explicit ScriptedInterpreter(Script script);
  ~ScriptedInterpreter() override;

  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

  // Unary calls answer with this status when it is not OK, else with a fixed good answer.
  grpc::Status unary_status;

  grpc::Status StreamTranslate(grpc::ServerContext* server_context, ServerStream* stream) override;
  grpc::Status Translate(grpc::ServerContext* server_context, const v1::TranslateRequest* request,
                         v1::TranslateResponse* response) override;
  grpc::Status ListModels(grpc::ServerContext* server_context, const v1::ListModelsRequest* request,
                          v1::ListModelsResponse* response) override;
  grpc::Status GetInfo(grpc::ServerContext* server_context, const v1::GetInfoRequest* request,
                       v1::GetInfoResponse* response) override;

 private:
  const Script script_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

// A loopback address where nobody listens: a port that was bound and let go.
std::string UnusedAddress();

}  // namespace dragoman::testing
