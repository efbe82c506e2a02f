// The client library against real servers that drain and go: moves without loss (R22), a client
// that ignores notices (R23), a rolling restart (R24). R25 is in tests/system, with a real kill.
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/api/interpreter_client.h"
#include "client/api/resuming_stream.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/integration/stream_client.h"
#include "tests/integration/test_server.h"

namespace dragoman::testing {
namespace {

using client::ChannelOptions;
using client::InterpreterClient;
using client::ResumingStream;

constexpr size_t kSessions = 24;

std::string Sentence(size_t session, size_t index) {
  return absl::StrCat("Speaker ", session, " says sentence ", index, " now. ");
}

// A real server whose drain is short enough for a test, in a thread of its own.
class Replica {
 public:
  explicit Replica(int port = 0, uint32_t grace = 0) {
    TestServerOptions options;
    options.config.listen = absl::StrCat("127.0.0.1:", port);
    options.config.drain_grace_seconds = grace;
    options.config.drain_seconds = 20;
    options.config.connections_per_peer = 0;
    server_ = std::make_unique<TestServer>(options);
    run_ = std::thread([this] { result_ = server_->server().Run(); });
  }
  ~Replica() { Drain(); }
  // SIGTERM, and the wait for the end. The sessions that had to be cut.
  size_t Drain() {
    if (run_.joinable()) {
      server_->server().RequestStop();
      run_.join();
    }
    return result_.cut;
  }
  int port() const { return server_->server().port(); }
  TestServer& server() { return *server_; }

 private:
  std::unique_ptr<TestServer> server_;
  std::thread run_;
  server::StopSequence::Result result_;
};

// A speaker that says one sentence after the other and waits for the final of each.
class Speaker {
 public:
  Speaker(size_t number, const std::string& target, Clock* clock) : number_(number) {
    stream_ = std::make_unique<ResumingStream>(
        [target, number, clock]() -> std::unique_ptr<client::TranslateStream> {
          ChannelOptions channel;
          channel.server = target;
          channel.insecure = true;
          client::RetryOptions retry;
          retry.max_tries = 20;
          retry.max_wait = std::chrono::milliseconds(500);
          auto client = InterpreterClient::Create(channel, retry, clock, number);
          client::StreamOptions options;
          options.retry = retry;
          return client.ok() ? (*client)->StartStream(MakeConfig("wait-k:2"), options) : nullptr;
        },
        client::ResumeOptions{}, clock);
  }
  // False when the session ended.
  bool Speak() {
    const absl::Status sent = stream_->SendText(Sentence(number_, finals_.size()));
    EXPECT_TRUE(sent.ok()) << number_ << " " << sent;
    if (!sent.ok()) return false;
    const size_t wanted = finals_.size() + 1;
    while (finals_.size() < wanted) {
      const auto event = stream_->Next();
      if (!event.has_value()) {
        ADD_FAILURE() << number_ << " ended: " << stream_->end().status.ToString() << " "
                      << stream_->end().broken_invariant.value_or("");
        return false;
      }
      Take(*event);
    }
    return true;
  }
  void Finish() {
    stream_->HalfClose();
    while (const auto event = stream_->Next()) Take(*event);
  }
  const std::vector<std::string>& finals() const { return finals_; }
  const client::StreamEnd& end() const { return stream_->end(); }
  uint32_t translated_bytes() const { return translated_bytes_; }
  int resumes() const { return stream_->resumes(); }

 private:
  void Take(const v1::StreamEvent& event) {
    if (event.has_segment_final()) finals_.push_back(event.segment_final().text());
    if (event.has_ended()) translated_bytes_ = event.ended().source_translated().bytes();
  }
  const size_t number_;
  std::unique_ptr<ResumingStream> stream_;
  std::vector<std::string> finals_;
  uint32_t translated_bytes_ = 0;
};

// What a speaker gets when nothing happens.
std::vector<std::string> Undisturbed(const TestServer& server, size_t number, size_t sentences) {
  const auto stub = server.NewStub();
  std::vector<v1::StreamRequest> requests;
  for (size_t i = 0; i < sentences; ++i) requests.push_back(TextRequest(Sentence(number, i)));
  return RunSession(stub.get(), MakeConfig("wait-k:2"), requests).finals();
}

void ExpectWhole(const Speaker& speaker, size_t number, const TestServer& server) {
  EXPECT_TRUE(speaker.end().status.ok()) << number << ": " << speaker.end().status.ToString();
  EXPECT_EQ(speaker.end().broken_invariant.value_or(""), "");
  size_t bytes = 0;
  for (size_t i = 0; i < speaker.finals().size(); ++i) bytes += Sentence(number, i).size();
  EXPECT_EQ(speaker.translated_bytes(), bytes) << "source words were lost";
  EXPECT_EQ(speaker.finals(), Undisturbed(server, number, speaker.finals().size())) << number;
}

// Shortened: 24 sessions instead of 64.
TEST(ResumeTest, R22_SigtermUnderLiveSessionsLosesNothingAndCutsNobody) {
  SystemClock clock;
  auto leaving = std::make_unique<Replica>();
  const Replica staying;
  const std::string target =
      absl::StrCat("ipv4:127.0.0.1:", leaving->port(), ",127.0.0.1:", staying.port());
  std::vector<std::unique_ptr<Speaker>> speakers(kSessions);
  std::atomic<size_t> ready{0};
  std::atomic<bool> drained{false};
  size_t cut = 0;
  std::thread sigterm([&] {
    while (ready.load() < kSessions) std::this_thread::yield();
    cut = leaving->Drain();
    drained.store(true);
  });
  RunParallel(kSessions, kSessions, [&](size_t number) {
    speakers[number] = std::make_unique<Speaker>(number, target, &clock);
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(speakers[number]->Speak());
    ++ready;
    while (!drained.load()) ASSERT_TRUE(speakers[number]->Speak());
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(speakers[number]->Speak());
    speakers[number]->Finish();
  });
  sigterm.join();
  EXPECT_EQ(cut, 0u);
  int moved = 0;
  const TestServer undisturbed;
  for (size_t i = 0; i < kSessions; ++i) {
    moved += speakers[i]->resumes();
    ExpectWhole(*speakers[i], i, undisturbed);
  }
  EXPECT_GT(moved, 0);
}

// Shortened: drain-seconds is 2 instead of 600.
TEST(ResumeTest, R23_AClientThatIgnoresNoticesIsCutAtTheEnd) {
  TestServerOptions options;
  options.config.drain_grace_seconds = 0;
  options.config.drain_seconds = 2;
  TestServer server(options);
  const auto stub = server.NewStub();
  StreamClient deaf(stub.get(), MakeConfig());
  deaf.ReadUntil([](const v1::StreamEvent& event) { return event.has_started(); });
  deaf.Text("An open segment ");
  const auto begin = std::chrono::steady_clock::now();
  std::thread run([&] { EXPECT_EQ(server.server().Run().cut, 1u); });
  server.server().RequestStop();
  const grpc::Status status = deaf.Finish();
  const auto took = std::chrono::steady_clock::now() - begin;
  run.join();
  EXPECT_LE(took, std::chrono::seconds(4));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(DetailsOf(status).reason, "DRAINING");
  EXPECT_EQ(deaf.events().back().ended().reason(), v1::END_DRAIN);
}

// Shortened: 12 sessions. Each replica drains, goes, and comes back on its port.
TEST(ResumeTest, R24_ARollingRestartOfThreeReplicasIsSeenByNobody) {
  constexpr size_t kSpeakers = 12;
  SystemClock clock;
  std::vector<std::unique_ptr<Replica>> replicas;
  std::string target = "ipv4:";
  for (int i = 0; i < 3; ++i) {
    replicas.push_back(std::make_unique<Replica>());
    absl::StrAppend(&target, i == 0 ? "" : ",", "127.0.0.1:", replicas.back()->port());
  }
  std::vector<std::unique_ptr<Speaker>> speakers(kSpeakers);
  std::atomic<size_t> ready{0};
  std::atomic<bool> done{false};
  size_t cut = 0;
  std::thread restarts([&] {
    while (ready.load() < kSpeakers) std::this_thread::yield();
    for (auto& replica : replicas) {
      const int port = replica->port();
      cut += replica->Drain();
      replica.reset();
      replica = std::make_unique<Replica>(port);
    }
    done.store(true);
  });
  RunParallel(kSpeakers, kSpeakers, [&](size_t number) {
    speakers[number] = std::make_unique<Speaker>(number, target, &clock);
    EXPECT_TRUE(speakers[number]->Speak());
    ++ready;
    while (!done.load()) ASSERT_TRUE(speakers[number]->Speak());
    speakers[number]->Finish();
  });
  restarts.join();
  EXPECT_EQ(cut, 0u);
  const TestServer undisturbed;
  for (size_t i = 0; i < kSpeakers; ++i) ExpectWhole(*speakers[i], i, undisturbed);
}

}  // namespace
}  // namespace dragoman::testing
