#include "client/api/translate_stream.h"

#include <atomic>
#include <future>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "client/api/interpreter_client.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/scripted_interpreter.h"

namespace dragoman::client {
namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::Refusal;
using testing::ScriptedInterpreter;
using testing::ScriptedSession;
using testing::ServerStream;
using testing::UpperCaseSession;

// Time that moves only when somebody waits for it; remembers the waits.
class RecordingClock final : public Clock {
 public:
  TimePoint Now() override {
    MutexLock lock(&mu_);
    return now_;
  }
  bool WaitUntil(Mutex* /*mutex*/, CondVar* /*condition*/, TimePoint deadline,
                 const std::function<bool()>& ready) override {
    MutexLock lock(&mu_);
    waits_.push_back(std::chrono::duration_cast<milliseconds>(deadline - now_));
    now_ = deadline;
    return ready();
  }
  std::vector<milliseconds> waits() {
    MutexLock lock(&mu_);
    return waits_;
  }

 private:
  Mutex mu_;
  TimePoint now_{};
  std::vector<milliseconds> waits_;
};

v1::StreamConfig EnglishToGerman() {
  v1::StreamConfig config;
  config.set_source_language("en");
  config.add_target_languages("de");
  config.mutable_text_input();
  config.mutable_wait_k()->set_k(3);
  return config;
}

class TranslateStreamTest : public ::testing::Test {
 protected:
  std::unique_ptr<TranslateStream> Start(const std::string& address,
                                         const v1::StreamConfig& config = EnglishToGerman(),
                                         StreamOptions options = {}) {
    ChannelOptions channel;
    channel.server = address;
    channel.insecure = true;
    auto client = InterpreterClient::Create(channel, options.retry, &clock_, 1);
    EXPECT_TRUE(client.ok()) << client.status();
    return (*client)->StartStream(config, options);
  }

  RecordingClock clock_;
};

std::vector<std::string> Finals(TranslateStream* stream) {
  std::vector<std::string> finals;
  while (const auto event = stream->Next()) {
    if (event->has_segment_final()) finals.push_back(event->segment_final().text());
  }
  return finals;
}

std::string Why(const StreamEnd& end) {
  return end.broken_invariant.value_or("") + " | " + end.status.ToString();
}

TEST_F(TranslateStreamTest, CarriesTextUntilTheHalfClose) {
  ScriptedInterpreter server(UpperCaseSession);
  auto stream = Start(server.address());

  ASSERT_TRUE(stream->SendText("The cats sleep. And ").ok());
  ASSERT_TRUE(stream->SendText("we too").ok());
  stream->HalfClose();

  EXPECT_THAT(Finals(stream.get()), ElementsAre("THE CATS SLEEP.", "AND WE TOO"));
  EXPECT_TRUE(stream->end().status.ok()) << Why(stream->end());
  EXPECT_FALSE(stream->end().broken_invariant) << Why(stream->end());
  EXPECT_TRUE(stream->end().started);
  EXPECT_EQ(stream->end().tries, 1);
}

TEST_F(TranslateStreamTest, HoldsAPartialCodePointBack) {
  ScriptedInterpreter server(UpperCaseSession);
  auto stream = Start(server.address());
  const std::string source = "caf\u00e9 na\u00efve \U0001F600.";

  for (const char byte : source) ASSERT_TRUE(stream->SendText(std::string(1, byte)).ok());
  stream->HalfClose();

  EXPECT_THAT(Finals(stream.get()), ElementsAre("CAF\u00e9 NA\u00efVE \U0001F600."));
  EXPECT_TRUE(stream->end().status.ok()) << Why(stream->end());
}

TEST_F(TranslateStreamTest, EndsAnOpenCodePointWithAReplacement) {
  ScriptedInterpreter server(UpperCaseSession);
  auto stream = Start(server.address());

  ASSERT_TRUE(stream->SendText("a\xE2\x82").ok());
  stream->HalfClose();

  EXPECT_THAT(Finals(stream.get()), ElementsAre("A\xEF\xBF\xBD"));
  EXPECT_TRUE(stream->end().status.ok()) << Why(stream->end());
}

TEST_F(TranslateStreamTest, FlushAndEndSegmentAreAnswered) {
  ScriptedInterpreter server(UpperCaseSession);
  v1::StreamConfig config = EnglishToGerman();
  config.set_segment_mode(v1::SEGMENT_CLIENT);
  auto stream = Start(server.address(), config);

  ASSERT_TRUE(stream->SendText("one two ").ok());
  ASSERT_TRUE(stream->Flush(1).ok());
  ASSERT_TRUE(stream->EndSegment(7).ok());
  ASSERT_TRUE(stream->EndSegment(8).ok());  // nothing is open any more
  ASSERT_TRUE(stream->Heartbeat().ok());
  EXPECT_EQ(stream->EndSegment(0).code(), absl::StatusCode::kInvalidArgument);
  stream->HalfClose();

  std::vector<uint32_t> answers;
  while (const auto event = stream->Next()) {
    if (event->has_flush_done()) answers.push_back(event->flush_done().id());
    if (event->has_segment_final()) answers.push_back(event->segment_final().client_id());
  }
  EXPECT_THAT(answers, ElementsAre(1, 7, 8));
  EXPECT_TRUE(stream->end().status.ok()) << Why(stream->end());
}

TEST_F(TranslateStreamTest, AckAndHeartbeatReachTheServer) {
  std::promise<uint32_t> acked;
  std::promise<void> heartbeat;
  ScriptedInterpreter server([&](grpc::ServerContext* context, ServerStream* stream) {
    ScriptedSession session(context, stream);
    session.ReadConfig();
    session.SendStarted();
    v1::StreamRequest request;
    while (session.Read(&request)) {
      if (request.has_ack()) acked.set_value(request.ack().seq());
      if (request.has_heartbeat()) heartbeat.set_value();
    }
    session.SendEnded(v1::END_COMPLETE);
    return grpc::Status::OK;
  });
  auto stream = Start(server.address());
  ASSERT_TRUE(stream->Next()->has_started());

  ASSERT_TRUE(stream->Ack(1).ok());
  EXPECT_EQ(acked.get_future().get(), 1u);
  ASSERT_TRUE(stream->Heartbeat().ok());
  heartbeat.get_future().get();
  stream->HalfClose();

  EXPECT_THAT(Finals(stream.get()), ElementsAre());
  EXPECT_TRUE(stream->end().status.ok()) << Why(stream->end());
}

TEST_F(TranslateStreamTest, AnyCutsGiveTheSameFinals) {
  ScriptedInterpreter server(UpperCaseSession);
  const std::string source = "One two three. Four f\u00fcnf \u20ac six. Seven";
  for (const size_t size : {size_t{1}, size_t{2}, size_t{7}, source.size()}) {
    auto stream = Start(server.address());
    for (size_t begin = 0; begin < source.size(); begin += size) {
      ASSERT_TRUE(stream->SendText(std::string_view(source).substr(begin, size)).ok());
    }
    stream->HalfClose();
    EXPECT_THAT(Finals(stream.get()),
                ElementsAre("ONE TWO THREE.", "FOUR F\u00fcNF \u20ac SIX.", "SEVEN"))
        << size;
    EXPECT_TRUE(stream->end().status.ok()) << Why(stream->end());
  }
}

TEST_F(TranslateStreamTest, BlocksASenderWhileTheQueueIsFull) {
  std::promise<void> read_on;
  ScriptedInterpreter server([&](grpc::ServerContext* context, ServerStream* stream) {
    ScriptedSession session(context, stream);
    session.ReadConfig();
    read_on.get_future().wait();  // SessionStarted comes late: nothing leaves the queue until then
    session.SendStarted();
    v1::StreamRequest request;
    uint32_t bytes = 0;
    while (session.Read(&request)) bytes += static_cast<uint32_t>(request.text().text().size());
    EXPECT_EQ(bytes, 3u * 4096u);
    session.SendStable("X");
    session.SendFinal(v1::FINAL_HALF_CLOSE);
    session.SendEnded(v1::END_COMPLETE);
    return grpc::Status::OK;
  });
  StreamOptions options;
  options.max_queued_bytes = 2 * 4096;
  auto stream = Start(server.address(), EnglishToGerman(), options);
  const std::string piece(4096, 'a');
  ASSERT_TRUE(stream->SendText(piece).ok());
  ASSERT_TRUE(stream->SendText(piece).ok());
  std::atomic<bool> released{false};

  std::thread sender([&] {
    EXPECT_TRUE(stream->SendText(piece).ok());
    EXPECT_TRUE(released) << "the third piece went in beside two that fill the queue";
    stream->HalfClose();
  });
  released = true;
  read_on.set_value();
  sender.join();

  EXPECT_THAT(Finals(stream.get()), ElementsAre("X"));
  EXPECT_TRUE(stream->end().status.ok()) << Why(stream->end());
}

TEST_F(TranslateStreamTest, CancelFreesABlockedSenderAndEndsTheSession) {
  ScriptedInterpreter server([](grpc::ServerContext* context, ServerStream* stream) {
    ScriptedSession session(context, stream);
    session.ReadConfig();
    v1::StreamRequest request;
    while (session.Read(&request)) {
    }
    return grpc::Status::CANCELLED;
  });
  StreamOptions options;
  options.max_queued_bytes = 16;
  auto stream = Start(server.address(), EnglishToGerman(), options);
  ASSERT_TRUE(stream->SendText("sixteen bytes or more").ok());

  std::thread sender(
      [&] { EXPECT_EQ(stream->SendText("does not fit").code(), absl::StatusCode::kCancelled); });
  stream->Cancel();
  sender.join();

  EXPECT_FALSE(stream->Next().has_value());
  EXPECT_EQ(stream->end().status.code, absl::StatusCode::kCancelled);
  EXPECT_TRUE(stream->end().cancelled_by_us);
  EXPECT_FALSE(stream->end().broken_invariant);
}

TEST_F(TranslateStreamTest, PausesReadingWhenNobodyTakesEventsAndLosesNone) {
  ScriptedInterpreter server(UpperCaseSession);
  StreamOptions options;
  options.max_read_ahead_events = 2;
  auto stream = Start(server.address(), EnglishToGerman(), options);
  std::string source;
  for (int i = 0; i < 200; ++i) source += "word ";
  ASSERT_TRUE(stream->SendText(source).ok());
  stream->HalfClose();

  int deltas = 0;
  while (const auto event = stream->Next()) deltas += event->has_delta() ? 1 : 0;

  EXPECT_EQ(deltas, 200);
  EXPECT_TRUE(stream->end().status.ok()) << Why(stream->end());
}

TEST_F(TranslateStreamTest, DestructionCancelsWithUnreadEvents) {
  std::atomic<bool> cancelled{false};
  {
    ScriptedInterpreter server([&](grpc::ServerContext* context, ServerStream* stream) {
      const grpc::Status status = UpperCaseSession(context, stream);
      cancelled = context->IsCancelled();
      return status;
    });
    StreamOptions options;
    options.max_read_ahead_events = 1;
    auto stream = Start(server.address(), EnglishToGerman(), options);
    ASSERT_TRUE(stream->SendText("one two three four ").ok());
    ASSERT_TRUE(stream->Next().has_value());
    stream.reset();
  }
  EXPECT_TRUE(cancelled);
}

TEST_F(TranslateStreamTest, TriesAgainBeforeTheStartAndRepeatsNothing) {
  std::atomic<int> calls{0};
  ScriptedInterpreter server([&](grpc::ServerContext* context, ServerStream* stream) {
    if (++calls < 4) {
      ScriptedSession session(context, stream);
      session.ReadConfig();
      return Refusal(grpc::StatusCode::UNAVAILABLE, "NO_CAPACITY", {{"slots", "1"}}, 300);
    }
    return UpperCaseSession(context, stream);
  });
  auto stream = Start(server.address());
  ASSERT_TRUE(stream->SendText("hello there").ok());
  stream->HalfClose();

  EXPECT_THAT(Finals(stream.get()), ElementsAre("HELLO THERE"));
  EXPECT_TRUE(stream->end().status.ok()) << Why(stream->end());
  EXPECT_EQ(stream->end().tries, 4);
  const std::vector<milliseconds> waits = clock_.waits();
  ASSERT_EQ(waits.size(), 3u);
  for (size_t i = 0; i < waits.size(); ++i) {
    EXPECT_GE(waits[i], milliseconds(300));  // RetryInfo
    EXPECT_LE(waits[i], milliseconds(300 + (200 << i)));
  }
}

TEST_F(TranslateStreamTest, ObeysPushbackAndGivesUpAfterFiveTries) {
  std::atomic<int> calls{0};
  ScriptedInterpreter server([&](grpc::ServerContext* context, ServerStream*) {
    ++calls;
    context->AddTrailingMetadata("grpc-retry-pushback-ms", "77");
    return Refusal(grpc::StatusCode::RESOURCE_EXHAUSTED, "QUOTA_RATE", {{"limit", "20"}}, 10);
  });
  auto stream = Start(server.address());

  EXPECT_FALSE(stream->Next().has_value());

  EXPECT_EQ(calls, 5);
  EXPECT_EQ(stream->end().status.reason, "QUOTA_RATE");
  EXPECT_EQ(stream->end().status.metadata.at("limit"), "20");
  EXPECT_THAT(clock_.waits(),
              ElementsAre(milliseconds(77), milliseconds(77), milliseconds(77), milliseconds(77)));
}

TEST_F(TranslateStreamTest, NeverTriesAgainAfterARefusalThatWillNotChange) {
  for (const grpc::StatusCode code :
       {grpc::StatusCode::INVALID_ARGUMENT, grpc::StatusCode::UNAUTHENTICATED,
        grpc::StatusCode::UNIMPLEMENTED, grpc::StatusCode::RESOURCE_EXHAUSTED}) {
    std::atomic<int> calls{0};
    ScriptedInterpreter server([&](grpc::ServerContext*, ServerStream*) {
      ++calls;
      return Refusal(code, "NO");
    });
    auto stream = Start(server.address());
    EXPECT_FALSE(stream->Next().has_value());
    EXPECT_EQ(calls, 1) << code;
    EXPECT_FALSE(stream->end().broken_invariant);
  }
  EXPECT_THAT(clock_.waits(), ElementsAre());
}

TEST_F(TranslateStreamTest, NeverTriesAgainAfterTheStart) {
  std::atomic<int> calls{0};
  ScriptedInterpreter server([&](grpc::ServerContext* context, ServerStream* stream) {
    ++calls;
    ScriptedSession session(context, stream);
    session.ReadConfig();
    session.SendStarted();
    return Refusal(grpc::StatusCode::UNAVAILABLE, "DRAINING", {{"seconds_left", "0"}}, 10);
  });
  auto stream = Start(server.address());

  while (stream->Next()) {
  }

  EXPECT_EQ(calls, 1);
  EXPECT_TRUE(stream->end().started);
  EXPECT_EQ(stream->end().status.reason, "DRAINING");
  EXPECT_EQ(stream->SendText("more").code(), absl::StatusCode::kCancelled);
}

TEST_F(TranslateStreamTest, ReportsAServerThatIsNotThere) {
  auto stream = Start(testing::UnusedAddress());

  EXPECT_FALSE(stream->Next().has_value());

  EXPECT_EQ(stream->end().status.code, absl::StatusCode::kUnavailable);
  EXPECT_EQ(stream->end().status.reason, "");
  EXPECT_EQ(stream->end().tries, 5);
}

TEST_F(TranslateStreamTest, SendingAfterTheHalfCloseIsRefused) {
  ScriptedInterpreter server(UpperCaseSession);
  auto stream = Start(server.address());
  stream->HalfClose();
  stream->HalfClose();

  EXPECT_EQ(stream->SendText("late").code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(stream->Flush(1).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(Finals(stream.get()), ElementsAre());
  EXPECT_TRUE(stream->end().status.ok()) << Why(stream->end());
}

TEST_F(TranslateStreamTest, CancelsAServerThatBreaksAnInvariant) {
  std::promise<bool> server_saw_cancel;
  ScriptedInterpreter server([&](grpc::ServerContext* context, ServerStream* stream) {
    ScriptedSession session(context, stream);
    session.ReadConfig();
    session.SendStarted();
    session.SendStable("Die");
    session.next_seq = 9;
    session.SendStable(" Katzen");
    v1::StreamRequest request;
    while (session.Read(&request)) {
    }
    server_saw_cancel.set_value(context->IsCancelled());
    return grpc::Status::CANCELLED;
  });
  auto stream = Start(server.address());
  int events = 0;
  while (stream->Next()) ++events;

  EXPECT_EQ(events, 2);
  ASSERT_TRUE(stream->end().broken_invariant);
  EXPECT_THAT(*stream->end().broken_invariant, HasSubstr("invariant 1"));
  EXPECT_TRUE(server_saw_cancel.get_future().get());
}

TEST_F(TranslateStreamTest, FindsAnOkThatCameTooEarly) {
  ScriptedInterpreter server([](grpc::ServerContext* context, ServerStream* stream) {
    ScriptedSession session(context, stream);
    session.ReadConfig();
    session.SendStarted();
    session.SendEnded(v1::END_COMPLETE);
    return grpc::Status::OK;
  });
  auto stream = Start(server.address());
  while (stream->Next()) {
  }

  ASSERT_TRUE(stream->end().broken_invariant);
  EXPECT_THAT(*stream->end().broken_invariant, HasSubstr("invariant 6"));
}

TEST_F(TranslateStreamTest, CutsTextToTheLimitOfTheServer) {
  std::atomic<size_t> largest{0};
  ScriptedInterpreter server([&](grpc::ServerContext* context, ServerStream* stream) {
    ScriptedSession session(context, stream);
    session.ReadConfig();
    v1::StreamEvent started;
    started.mutable_started()->add_tracks()->set_id(1);
    started.mutable_started()->mutable_limits()->set_text_chunk_bytes(10);
    session.Send(started);
    v1::StreamRequest request;
    std::string text;
    while (session.Read(&request)) {
      largest = std::max(largest.load(), request.text().text().size());
      text += request.text().text();
    }
    session.SendStable(text);
    session.SendFinal(v1::FINAL_HALF_CLOSE);
    session.SendEnded(v1::END_COMPLETE);
    return grpc::Status::OK;
  });
  auto stream = Start(server.address());
  std::string source;
  for (int i = 0; i < 50; ++i) source += "\u20ac\u20acx";  // code points lie across the limit
  ASSERT_TRUE(stream->SendText(source).ok());
  stream->HalfClose();

  EXPECT_THAT(Finals(stream.get()), ElementsAre(source));
  EXPECT_LE(largest, 10u);
  EXPECT_TRUE(stream->end().status.ok()) << Why(stream->end());
}

TEST_F(TranslateStreamTest, EndsCleanlyWhateverTheInstantOfTheEnd) {
  ScriptedInterpreter server([](grpc::ServerContext* context, ServerStream* stream) {
    ScriptedSession session(context, stream);
    session.ReadConfig();
    session.SendStarted();
    session.next_seq = 5;  // broken at once, with the status right behind it
    session.SendEnded(v1::END_COMPLETE);
    return grpc::Status::OK;
  });
  for (int i = 0; i < 200; ++i) {
    auto stream = Start(server.address());
    std::thread canceller([&] {
      for (int spin = 0; spin < i * 20; ++spin) std::this_thread::yield();
      if (i % 2 == 0) stream->Cancel();
      stream->HalfClose();
    });
    while (stream->Next()) {
    }
    canceller.join();
    const StreamEnd& end = stream->end();
    EXPECT_TRUE(end.broken_invariant || end.cancelled_by_us) << Why(end);
  }
}

}  // namespace
}  // namespace dragoman::client
