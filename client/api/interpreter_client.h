// The client side of dragoman.v1.Interpreter: unary calls and live sessions over one channel.
#pragma once

#include <cstdint>
#include <memory>

#include "base/clock.h"
#include "base/status.h"
#include "client/api/call_status.h"
#include "client/api/channel_options.h"
#include "client/api/retry.h"
#include "client/api/translate_stream.h"
#include "proto/dragoman/v1/interpreter.pb.h"

namespace dragoman::client {

// Thread-safe.
class InterpreterClient {
 public:
  // Opens no connection yet: that happens with the first call.
  //   clock: outlives the client and its streams.
  //   seed: of the jitter between tries.
  // Errors: those of ChannelOptions::Validate() and LoadCredentials().
  static absl::StatusOr<std::unique_ptr<InterpreterClient>> Create(const ChannelOptions& options,
                                                                   const RetryOptions& retry,
                                                                   Clock* clock, uint64_t seed);
  ~InterpreterClient();

  // Starts a live session. Never fails here: a refusal is the end of the stream. The stream may
  // outlive the client. The retry options of `options` count, not those of the client.
  std::unique_ptr<TranslateStream> StartStream(const v1::StreamConfig& config,
                                               const StreamOptions& options);

  // Unary calls. Each blocks until the answer, tries again where IsRetryable() allows it (all of
  // them are safe to repeat), and gives each try ChannelOptions::unary_deadline.
  // `response` is meaningful when the status is OK.
  CallStatus Translate(const v1::TranslateRequest& request, v1::TranslateResponse* response);
  CallStatus ListModels(const v1::ListModelsRequest& request, v1::ListModelsResponse* response);
  CallStatus GetInfo(const v1::GetInfoRequest& request, v1::GetInfoResponse* response);

 private:
  class Impl;
  explicit InterpreterClient(std::unique_ptr<Impl> impl);

  const std::unique_ptr<Impl> impl_;
};

}  // namespace dragoman::client
