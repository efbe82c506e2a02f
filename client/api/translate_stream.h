// One live session over Interpreter.StreamTranslate: source goes in, events come out, every promise
// of the contract is checked on the way. Made by InterpreterClient::StartStream().
//
// Does not reconnect after SessionStarted: what the server confirmed by then stays, the rest is the
// caller's to send again. Before SessionStarted nothing but the config is on the wire, so a refused
// or broken start is tried again (RetryOptions) and repeats nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/random.h"
#include "client/api/call_status.h"
#include "client/api/retry.h"
#include "proto/dragoman/v1/interpreter.pb.h"

namespace grpc {
class Channel;
}

namespace dragoman::client {

struct StreamOptions {
  size_t max_queued_bytes = 65536;    // source that waits for the transport
  size_t max_read_ahead_events = 64;  // events that wait for Next(); then reading pauses
  RetryOptions retry;
  std::string token;  // bearer token; InterpreterClient puts its own here
};

// How a session ended.
struct StreamEnd {
  CallStatus status;
  // Set when the server broke a promise: "invariant N: ...". The call was then cancelled, and the
  // events delivered before are all that can be trusted.
  std::optional<std::string> broken_invariant;
  bool started = false;          // SessionStarted was delivered
  bool cancelled_by_us = false;  // Cancel() was called before the end
  int tries = 1;
};

// Thread-safe: any thread sends; one thread at a time calls Next(). No member may be called from
// a gRPC thread.
class TranslateStream {
 public:
  // `clock` outlives the stream.
  TranslateStream(std::shared_ptr<grpc::Channel> channel, const v1::StreamConfig& config,
                  const StreamOptions& options, Clock* clock, RandomStream random);
  // Cancels what is still open and waits for the transport to let go.
  ~TranslateStream();
  TranslateStream(const TranslateStream&) = delete;
  TranslateStream& operator=(const TranslateStream&) = delete;

  // Appends source bytes, cut anywhere: an open code point at the end is held back, ill-formed
  // bytes become U+FFFD. Blocks while max_queued_bytes wait.
  // Errors: FailedPrecondition after HalfClose(); Cancelled when the session is over.
  absl::Status SendText(std::string_view bytes);
  // Asks for all that can be written now. The answer is FlushDone with this id; ids rise.
  // Errors and blocking: as SendText().
  absl::Status Flush(uint32_t id);
  // Closes the open segment. The answer is the final of every track with this client_id, or
  // FlushDone. `id` is not 0. Errors and blocking: as SendText(); InvalidArgument for id 0.
  absl::Status EndSegment(uint32_t id);
  // Keeps a silent session alive. Never blocks; several that wait become one. Errors: as
  // SendText().
  absl::Status Heartbeat();
  // Tells the server that all events up to `seq` were used. Never blocks; the highest one goes out.
  // Errors: as SendText().
  absl::Status Ack(uint32_t seq);
  // No more source. Source that waits still goes out, a code point that was held back becomes
  // U+FFFD. Waits for senders in other threads; calling it again does nothing.
  void HalfClose();
  // Ends the session now. Never blocks; Next() then returns what came before and the end.
  void Cancel();

  // The next event, in order and checked; nullopt: the session is over, see end(). Blocks. Also
  // waits out the pauses between tries, so somebody must call it.
  std::optional<v1::StreamEvent> Next();
  // Valid once Next() has returned nullopt.
  const StreamEnd& end() const;

 private:
  class Impl;
  const std::unique_ptr<Impl> impl_;
};

}  // namespace dragoman::client
