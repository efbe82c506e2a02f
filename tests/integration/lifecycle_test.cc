// Health (V13), drain, cancel in every state (H7), many streams with cancels, the admin port.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/integration/raw_client.h"
#include "tests/integration/stream_client.h"
#include "tests/integration/test_server.h"
#include "tests/support/step_clock.h"

namespace dragoman::testing {
namespace {

using std::chrono::seconds;
using ::testing::HasSubstr;

constexpr int kServing = 1;
constexpr int kNotServing = 2;

TEST(HealthTest, V13_WatchSeesServingOnlyAfterWarmUpAndNotServingAfterStop) {
  TestServerOptions options;
  options.load = false;
  std::atomic<int> forwards{0};
  options.hash.on_forward = [&](const model::StepBatch&) { ++forwards; };
  TestServer server(options);
  HealthWatch all(server.NewChannel(), "");
  HealthWatch service(server.NewChannel(), "dragoman.v1.Interpreter");
  EXPECT_EQ(all.Next(), kNotServing);
  EXPECT_EQ(service.Next(), kNotServing);
  EXPECT_FALSE(server.server().ready());

  server.Load([&] { EXPECT_EQ(forwards.load(), 0); });
  EXPECT_EQ(all.Next(), kServing);
  EXPECT_EQ(service.Next(), kServing);
  EXPECT_GT(forwards.load(), 0);
  EXPECT_TRUE(server.server().ready());

  std::thread run([&] { server.server().Run(); });
  const auto begin = std::chrono::steady_clock::now();
  server.server().RequestStop();
  EXPECT_EQ(all.Next(), kNotServing);
  EXPECT_EQ(service.Next(), kNotServing);
  EXPECT_LE(std::chrono::steady_clock::now() - begin, seconds(1));
  EXPECT_FALSE(server.server().ready());
  run.join();
}

class DrainTest : public ::testing::Test {
 protected:
  DrainTest() {
    TestServerOptions options;
    options.clock = &clock_;
    options.config.drain_seconds = 30;
    options.config.drain_grace_seconds = 10;
    options.config.write_stall_seconds = 3600;  // the clock jumps while writes are on their way
    server_ = std::make_unique<TestServer>(options);
    stub_ = server_->NewStub();
    run_ = std::thread([this] { result_ = server_->server().Run(); });
  }
  ~DrainTest() override {
    if (run_.joinable()) run_.join();
  }
  // Opens a stream, then asks the server to stop; returns once the stream has the notice.
  void StopWith(StreamClient* client) {
    client->ReadUntil([](const v1::StreamEvent& event) { return event.has_started(); });
    client->Text("This segment stays open");
    while (server_->Metric("dragoman_source_words_total") < 3) std::this_thread::yield();
    server_->server().RequestStop();
    const v1::StreamEvent notice =
        client->ReadUntil([](const v1::StreamEvent& event) { return event.has_notice(); });
    EXPECT_EQ(notice.notice().code(), v1::NOTICE_DRAINING);
    EXPECT_EQ(notice.notice().value_ms(), 40000u);
  }

  StepClock clock_;
  std::unique_ptr<TestServer> server_;
  std::unique_ptr<v1::Interpreter::Stub> stub_;
  std::thread run_;
  server::StopSequence::Result result_;
};

TEST_F(DrainTest, V3_NewStreamsAreRefusedAndRunningOnesEndInPeace) {
  StreamClient running(stub_.get(), MakeConfig());
  StopWith(&running);

  const SessionResult refused = RunSession(stub_.get(), MakeConfig(), {});
  EXPECT_EQ(refused.status.error_code(), grpc::StatusCode::UNAVAILABLE);
  const ErrorDetails details = DetailsOf(refused.status);
  EXPECT_EQ(details.reason, "DRAINING");
  EXPECT_THAT(details.metadata, ::testing::ElementsAre(::testing::Pair("seconds_left", "40")));
  EXPECT_TRUE(details.has_retry);
  EXPECT_TRUE(refused.events.empty());

  running.Text(" but not for ever. ");
  running.HalfClose();
  EXPECT_TRUE(running.Finish().ok());
  clock_.Advance(seconds(10));  // the grace
  run_.join();
  EXPECT_TRUE(result_.drained);
  EXPECT_EQ(result_.cut, 0u);
  EXPECT_EQ(server_->Metric("dragoman_drain_streams_total", "outcome=\"moved\""), 1);
  EXPECT_EQ(server_->Metric("dragoman_drain_streams_total"), 1);
}

TEST_F(DrainTest, StreamsThatStayGetFinalsThenEndDrain) {
  const v1::StreamConfig config = MakeConfig("wait-k:1");
  StreamClient stays(stub_.get(), config);
  StopWith(&stays);
  clock_.Advance(seconds(10));
  clock_.Advance(seconds(28));

  SessionResult result;
  result.status = stays.Finish();
  result.events = stays.events();
  EXPECT_EQ(result.status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(DetailsOf(result.status).reason, "DRAINING");
  EXPECT_EQ(BrokenInvariant(config, {TextRequest("This segment stays open")}, result,
                            /*half_closed=*/false),
            "");
  EXPECT_EQ(result.events.back().ended().reason(), v1::END_DRAIN);
  const v1::StreamEvent& last_final = result.events.at(result.events.size() - 2);
  EXPECT_EQ(last_final.segment_final().reason(), v1::FINAL_SESSION_END);
  run_.join();
  EXPECT_EQ(result_.cut, 1u);
  EXPECT_EQ(server_->Metric("dragoman_drain_streams_total", "outcome=\"cut\""), 1);
  EXPECT_EQ(server_->Metric("dragoman_drain_streams_total"), 1);
}

TEST_F(DrainTest, SecondStopCutsAtOnce) {
  StreamClient stays(stub_.get(), MakeConfig());
  StopWith(&stays);
  server_->server().RequestStop();  // the clock does not move
  EXPECT_EQ(stays.Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(stays.events().back().ended().reason(), v1::END_DRAIN);
  run_.join();
}

TEST(ScrapeTest, R34_TakesAtMost50MillisecondsAt256Streams) {
  TestServerOptions options;
  options.config.slots = 256;
  TestServer server(options);
  std::vector<std::unique_ptr<v1::Interpreter::Stub>> stubs;
  for (int i = 0; i < 4; ++i) stubs.push_back(server.NewStub());
  std::vector<std::unique_ptr<StreamClient>> clients;
  for (size_t i = 0; i < 256; ++i) {
    clients.push_back(std::make_unique<StreamClient>(stubs[i % 4].get(), MakeConfig("wait-k:1")));
    clients.back()->Text("Words of an open segment ");
  }
  for (const auto& client : clients) {
    client->ReadUntil([](const v1::StreamEvent& event) { return event.has_delta(); });
  }

  // The quickest of some: the machine may do other things meanwhile.
  auto quickest = std::chrono::steady_clock::duration::max();
  for (int i = 0; i < 10; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    const std::string page = server.server().telemetry().Scrape();
    quickest = std::min(quickest, std::chrono::steady_clock::now() - begin);
    EXPECT_THAT(page, HasSubstr("dragoman_streams{model=\"hash-en-xx\",state=\"active\"} 256"));
  }
  EXPECT_LE(quickest, std::chrono::milliseconds(50));

  for (const auto& client : clients) client->Cancel();
  clients.clear();
  server.ExpectConsistentAtRest();
}

TEST(TraceTest, ACallersTraceIsTakenOverIntoLogAndSpans) {
  TestServerOptions options;
  options.config.trace = "log";
  TestServer server(options);
  const auto stub = server.NewStub();
  const std::string trace_id = "0af7651916cd43dd8448eb211c80319c";
  {
    grpc::ClientContext context;
    context.AddMetadata("traceparent", "00-" + trace_id + "-b7ad6b7169203331-01");
    v1::TranslateRequest request;
    request.set_text("One sentence. Another one.");
    request.set_source_language("en");
    request.set_target_language("de");
    v1::TranslateResponse response;
    ASSERT_TRUE(stub->Translate(&context, request, &response).ok());
  }
  ASSERT_TRUE(RunSession(stub.get(), MakeConfig(), {TextRequest("Words. ")}).status.ok());
  ASSERT_TRUE(server.WaitAtRest());

  const auto ends = server.logger().lines("session_end");
  ASSERT_EQ(ends.size(), 2u);
  EXPECT_EQ(ends[0].at("trace_id"), trace_id);
  EXPECT_NE(ends[1].at("trace_id"), trace_id);
  EXPECT_EQ(ends[1].at("trace_id").size(), 32u);
  std::vector<std::string> names;
  for (const auto& span : server.logger().lines("span")) {
    if (span.at("trace_id") != trace_id) continue;
    names.push_back(span.at("name"));
    const bool root = span.at("name") == "Translate";
    EXPECT_EQ(span.at("parent_span_id"), root ? "b7ad6b7169203331" : ends[0].at("span_id"));
  }
  EXPECT_THAT(names, ::testing::ElementsAre("queue", "segment[1]", "segment[2]", "Translate"));
}

TEST(CancelTest, H7_CancelInEveryStateLeavesNothingBehind) {
  TestServerOptions options;
  options.config.slots = 1;
  options.config.queue_wait_ms = 30000;
  TestServer server(options);
  const auto stub = server.NewStub();
  const auto started = [](const v1::StreamEvent& event) { return event.has_started(); };

  for (int round = 0; round < 20; ++round) {
    {
      StreamClient before_config(stub.get());
      before_config.Cancel();
      EXPECT_EQ(before_config.Finish().error_code(), grpc::StatusCode::CANCELLED);
    }
    {
      StreamClient just_opened(stub.get(), MakeConfig());
      just_opened.Cancel();
      EXPECT_EQ(just_opened.Finish().error_code(), grpc::StatusCode::CANCELLED);
    }
    ASSERT_TRUE(server.WaitAtRest());
    {
      StreamClient active(stub.get(), MakeConfig());
      active.ReadUntil(started);
      v1::StreamConfig config = MakeConfig();
      config.set_report_queue(true);
      StreamClient queued(stub.get(), config);
      queued.ReadUntil([](const v1::StreamEvent& event) { return event.has_queued(); });
      queued.Cancel();
      EXPECT_EQ(queued.Finish().error_code(), grpc::StatusCode::CANCELLED);
      active.Text("Words in an open segment");
      active.Cancel();
      EXPECT_EQ(active.Finish().error_code(), grpc::StatusCode::CANCELLED);
    }
    ASSERT_TRUE(server.WaitAtRest());
    {
      StreamClient writing(stub.get(), MakeConfig("wait-k:1"));
      writing.Text("Many words that are being translated. And more of them follow here. ");
      writing.ReadUntil([](const v1::StreamEvent& event) { return event.has_delta(); });
      writing.Cancel();
      EXPECT_EQ(writing.Finish().error_code(), grpc::StatusCode::CANCELLED);
    }
    ASSERT_TRUE(server.WaitAtRest());
    {
      StreamClient half_closed(stub.get(), MakeConfig());
      for (int i = 0; i < 50; ++i) half_closed.Text("A sentence of several words for the end. ");
      half_closed.HalfClose();
      half_closed.Cancel();
      EXPECT_EQ(half_closed.Finish().error_code(), grpc::StatusCode::CANCELLED);
    }
  }
  server.ExpectConsistentAtRest();
}

TEST(CancelTest, H7_AReaderThatNeverReadsBoundsOnlyItself) {
  TestServerOptions options;
  options.config.slots = 4;
  options.config.inbox_bytes = 16384;
  TestServer server(options);
  const auto stub = server.NewStub();
  v1::StreamConfig config = MakeConfig("wait-k:1");
  config.mutable_output()->set_word_stamps(true);
  StreamClient silent(stub.get(), config);
  std::thread writer([&] {
    // Ends when the client is cancelled below: the server stops reading long before.
    while (silent.Text("Words and more words for a reader who never reads a thing. ")) {
    }
  });
  for (int i = 0; i < 20; ++i) {
    EXPECT_TRUE(
        RunSession(stub.get(), config, {TextRequest("A sentence beside it. ")}).status.ok());
  }
  silent.Cancel();
  writer.join();
  EXPECT_EQ(silent.Finish().error_code(), grpc::StatusCode::CANCELLED);
  server.ExpectConsistentAtRest();
}

TEST(ConcurrencyTest, SixtyFourStreamsWithRandomCancelsStayConsistent) {
  constexpr size_t kStreams = 64;
  constexpr size_t kSessions = 1024;
  const uint64_t seed = TestSeed();
  TestServerOptions options;
  options.config.slots = 48;  // some have to queue
  options.config.queue_wait_ms = 30000;
  TestServer server(options);
  std::vector<std::unique_ptr<v1::Interpreter::Stub>> stubs;
  for (int i = 0; i < 4; ++i) stubs.push_back(server.NewStub());
  std::atomic<size_t> completed{0};
  std::atomic<size_t> cancelled{0};

  RunParallel(kSessions, kStreams, [&](size_t index) {
    RandomStream random(seed, "chaos", 0, index);
    v1::StreamConfig config = MakeConfig(random.NextBelow(3) == 0 ? "sentence" : "wait-k:3");
    config.mutable_output()->set_word_stamps(true);
    config.mutable_output()->set_model_stats(true);
    const auto requests = RandomChunks(&random, RandomText(&random, random.NextBelow(60)));
    v1::Interpreter::Stub* const stub = stubs[index % stubs.size()].get();
    if (random.NextBelow(3) != 0) {
      const SessionResult result = RunSession(stub, config, requests);
      EXPECT_TRUE(result.status.ok()) << result.status.error_message();
      EXPECT_EQ(BrokenInvariant(config, requests, result), "") << index;
      ++completed;
      return;
    }
    StreamClient client(stub, config);
    const size_t until = random.NextBelow(requests.size() + 1);
    for (size_t i = 0; i < until; ++i) client.Text(requests[i].text().text());
    client.Write(FlushRequest(1));  // its answer bounds how long a read can wait
    if (random.NextBelow(2) == 0) client.HalfClose();
    const size_t reads = random.NextBelow(6);
    v1::StreamEvent event;
    for (size_t i = 0; i < reads; ++i) {
      if (!client.Read(&event) || event.has_flush_done()) break;
    }
    client.Cancel();
    client.Finish();
    ++cancelled;
  });

  server.ExpectConsistentAtRest();
  EXPECT_EQ(server.Metric("grpc_server_handled_total"), static_cast<double>(kSessions));
  // Lines about refused calls are limited, those about sessions never.
  const size_t sessions = server.logger().lines("session_end").size();
  const size_t refused = server.logger().lines("call_refused").size();
  EXPECT_LE(sessions + refused, kSessions);
  EXPECT_GE(refused, std::min<size_t>(kSessions - sessions, 10));
  EXPECT_GT(cancelled.load(), 200u);
  EXPECT_GE(server.Metric("dragoman_stream_seconds_count", "end=\"complete\""),
            static_cast<double>(completed.load()));
}

TEST(LogTest, LogsAndMetricsHoldNoUserText) {
  const std::string marker = "Xylophonmarker";
  TestServer server;
  const auto stub = server.NewStub();
  v1::StreamConfig config = MakeConfig();
  RunSession(stub.get(), config, {TextRequest(marker + " " + marker + ". ")});
  config.set_model(marker);
  RunSession(stub.get(), config, {});
  config.set_model("");
  config.set_session_label(marker + " " + marker);
  RunSession(stub.get(), config, {});
  ASSERT_TRUE(server.WaitAtRest());
  for (const char* event : {"session_end", "call_refused", "listening", "model_ready"}) {
    for (const auto& line : server.logger().lines(event)) {
      for (const auto& [field, value] : line) EXPECT_THAT(value, Not(HasSubstr(marker))) << field;
    }
  }
  EXPECT_EQ(server.logger().lines("session_end").size(), 1u);
  EXPECT_EQ(server.logger().lines("call_refused").size(), 2u);
  EXPECT_THAT(server.server().telemetry().Scrape(), Not(HasSubstr(marker)));
}

std::string HttpGet(int port, const std::string& path) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  std::string answer;
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0) {
    const std::string request =
        absl::StrCat("GET ", path, " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    EXPECT_EQ(send(fd, request.data(), request.size(), 0), static_cast<ssize_t>(request.size()));
    char buffer[4096];
    for (ssize_t got = 0; (got = recv(fd, buffer, sizeof(buffer), 0)) > 0;) {
      answer.append(buffer, static_cast<size_t>(got));
    }
  }
  close(fd);
  return answer;
}

TEST(AdminTest, ServesProbesMetricsAndConfig) {
  TestServerOptions options;
  options.load = false;
  options.config.admin_listen = "127.0.0.1:0";
  TestServer server(options);
  const int port = server.server().admin_port();
  ASSERT_GT(port, 0);
  EXPECT_THAT(HttpGet(port, "/livez"), HasSubstr("200 OK"));
  EXPECT_THAT(HttpGet(port, "/readyz"), HasSubstr("503"));
  server.Load();
  EXPECT_THAT(HttpGet(port, "/readyz"), HasSubstr("200 OK"));
  EXPECT_THAT(HttpGet(port, "/configz"), HasSubstr("text of the config"));
  const auto stub = server.NewStub();
  ASSERT_TRUE(RunSession(stub.get(), MakeConfig(), {TextRequest("A sentence. ")}).status.ok());
  ASSERT_TRUE(server.WaitAtRest());
  const std::string metrics = HttpGet(port, "/metrics");
  for (const char* family : {"grpc_server_handled_total", "dragoman_first_write_seconds_bucket",
                             "dragoman_word_lag_words_bucket", "dragoman_step_seconds_bucket",
                             "dragoman_queue_wait_seconds_bucket", "dragoman_streams",
                             "dragoman_kv_pages", "dragoman_build_info", "dragoman_model_info",
                             "process_resident_memory_bytes", "dragoman_segments_total"}) {
    EXPECT_THAT(metrics, HasSubstr(family));
  }
  EXPECT_EQ(server.Metric("dragoman_slots"), 64);
}

}  // namespace
}  // namespace dragoman::testing
