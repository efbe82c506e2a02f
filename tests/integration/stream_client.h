// A plain client for tests on the generated stub, and an independent check of the promises of the
// contract over what it received. Deliberately not the client library: that one is tested
// elsewhere.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/random.h"
#include "grpcpp/client_context.h"
#include "grpcpp/support/sync_stream.h"
#include "proto/dragoman/v1/interpreter.grpc.pb.h"

namespace dragoman::testing {

// English to German text with a policy: "wait-k:3" or "sentence"; empty leaves it to the model.
v1::StreamConfig MakeConfig(const std::string& policy = "");

v1::StreamRequest TextRequest(const std::string& text);
v1::StreamRequest FlushRequest(uint32_t id);
v1::StreamRequest EndSegmentRequest(uint32_t id);
v1::StreamRequest AckRequest(uint32_t seq);

// Details of an error status.
struct ErrorDetails {
  std::string domain;
  std::string reason;
  std::map<std::string, std::string> metadata;
  bool has_retry = false;
};
ErrorDetails DetailsOf(const grpc::Status& status);

// One stream. One thread at a time, except that Read() may run beside writes.
class StreamClient {
 public:
  explicit StreamClient(v1::Interpreter::Stub* stub);
  // authorization: value of the metadata; empty: none.
  StreamClient(v1::Interpreter::Stub* stub, const v1::StreamConfig& config,
               const std::string& authorization = "");
  ~StreamClient();

  bool Write(const v1::StreamRequest& request) { return stream_->Write(request); }
  bool Text(const std::string& text) { return Write(TextRequest(text)); }
  void HalfClose() { stream_->WritesDone(); }
  // Reads and keeps the next event; false at the end.
  bool Read(v1::StreamEvent* event);
  // Reads until an event that `wanted` accepts; fails the test when the stream ends before.
  v1::StreamEvent ReadUntil(const std::function<bool(const v1::StreamEvent&)>& wanted);
  // Reads the rest and gives the status.
  grpc::Status Finish();
  void Cancel() { context_.TryCancel(); }
  grpc::ClientContext& context() { return context_; }
  const std::vector<v1::StreamEvent>& events() const { return events_; }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::StreamRequest, v1::StreamEvent>> stream_;
  std::vector<v1::StreamEvent> events_;
  bool finished_ = false;
};

struct SessionResult {
  std::vector<v1::StreamEvent> events;
  grpc::Status status;

  std::vector<std::string> finals() const;
  const v1::StreamConfig& effective() const { return events.at(0).started().effective(); }
};
// Sends all requests, half-closes, reads to the end; reading goes on beside writing.
SessionResult RunSession(v1::Interpreter::Stub* stub, const v1::StreamConfig& config,
                         const std::vector<v1::StreamRequest>& requests, bool half_close = true);

// Empty when all invariants of the contract hold for a session that ran to its end, else what is
// broken. `requests` are those that were sent.
std::string BrokenInvariant(const v1::StreamConfig& config,
                            const std::vector<v1::StreamRequest>& requests,
                            const SessionResult& result, bool half_closed = true);

// Random text of `words` words: several scripts, punctuation, line ends, odd blanks.
std::string RandomText(RandomStream* random, size_t words);
// The text cut at random code points.
std::vector<v1::StreamRequest> RandomChunks(RandomStream* random, const std::string& text);
std::vector<std::string> CodePoints(const std::string& text);

// Runs `function(index)` for 0..count-1 on `threads` threads.
void RunParallel(size_t count, size_t threads, const std::function<void(size_t)>& function);
// DRAGOMAN_TEST_SEED, or a fixed seed; printed.
uint64_t TestSeed();

}  // namespace dragoman::testing
