// The real server in this process: real gRPC on a loopback port, real engine and tokenizer, a hash
// in place of the transformer. Remembers every log line.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/mutex.h"
#include "grpcpp/channel.h"
#include "model/tokenizer/tokenizer.h"
#include "proto/dragoman/v1/interpreter.grpc.pb.h"
#include "server/main/dragoman_server.h"
#include "tests/support/fake_backbone/hash_backbone.h"

namespace dragoman::testing {

// Thread-safe.
class RecordingLogger final : public Logger {
 public:
  using Line = std::map<std::string, std::string>;
  void Log(LogLevel level, std::string_view event, std::vector<LogField> fields) override;
  std::vector<Line> lines(const std::string& event) const;
  // Sum of a whole-number field over all lines of an event.
  int64_t Sum(const std::string& event, const std::string& field) const;
  // Every event, field and value, for searching.
  std::string AllText() const;

 private:
  mutable Mutex mu_;
  std::vector<std::pair<std::string, Line>> lines_ ABSL_GUARDED_BY(mu_);
};

struct TestServerOptions {
  TestServerOptions();
  server::ServerConfig config;      // plain text, free ports
  model::HashBackboneOptions hash;  // traits, end and pages are filled in
  int32_t max_positions = 192;      // C of each side
  bool attention_heads = true;      // false: the model has none, so AlignAtt is refused
  bool load = true;                 // false: the test calls Load()
  Clock* clock = nullptr;           // null: the system's
  std::function<void(int)> on_fatal = [](int) {};
  std::chrono::milliseconds keepalive_period{30000};
  std::chrono::milliseconds keepalive_timeout{10000};
  // Instead of the hash: what the program itself would load.
  std::function<absl::StatusOr<server::ModelParts>(const server::ServerConfig&)> loader;
  std::string poison_word;  // a word whose last token gives logits that are not finite
};

class TestServer {
 public:
  explicit TestServer(TestServerOptions options = {});
  ~TestServer();

  // Loads the model; called by the constructor unless told otherwise. `before` runs in the loader.
  void Load(const std::function<void()>& before = [] {});
  std::shared_ptr<grpc::Channel> NewChannel() const;
  std::unique_ptr<v1::Interpreter::Stub> NewStub() const;
  server::DragomanServer& server() { return *server_; }
  RecordingLogger& logger() { return logger_; }
  const model::Tokenizer& tokenizer() const { return *tokenizer_; }
  Clock* clock() { return options_.clock; }

  // Waits until no session, slot, cached stream or call is left. False after 60 s.
  bool WaitAtRest();
  // Sum over all series of a family; `label` such as "reason=\"DRAINING\"" picks some.
  double Metric(const std::string& family, const std::string& label = "") const;
  // No slot, page or session is left and the counters equal the session_end lines.
  void ExpectConsistentAtRest();

 private:
  bool AtRest() const;
  TestServerOptions options_;
  SystemClock system_clock_;
  RecordingLogger logger_;
  std::shared_ptr<const model::Tokenizer> tokenizer_;
  std::unique_ptr<server::DragomanServer> server_;
};

}  // namespace dragoman::testing
