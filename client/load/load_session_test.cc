// One session against a real gRPC server, with time moved by the test.
#include "client/load/load_session.h"

#include <atomic>

#include "gtest/gtest.h"
#include "tests/support/scripted_interpreter.h"
#include "tests/support/step_clock.h"

namespace dragoman::client {
namespace {

using dragoman::testing::ScriptedInterpreter;
using dragoman::testing::ScriptedSession;
using dragoman::testing::ServerStream;
using dragoman::testing::StepClock;
using std::chrono::milliseconds;

// Echoes a word for each chunk and remembers what the client acknowledged.
struct EchoServer {
  std::atomic<uint32_t> last_ack{0};
  std::atomic<uint32_t> max_unacked{0};
  ScriptedInterpreter server{[this](grpc::ServerContext* context, ServerStream* stream) {
    ScriptedSession session(context, stream);
    session.ReadConfig();
    max_unacked = session.config().output().max_unacked_events();
    session.SendStarted();
    v1::StreamRequest request;
    while (session.Read(&request)) {
      if (request.has_ack()) last_ack = request.ack().seq();
      if (request.has_text()) session.SendStable(" wort");
    }
    if (session.segment_open()) session.SendFinal(v1::FINAL_HALF_CLOSE);
    session.SendEnded(v1::END_COMPLETE);
    return grpc::Status::OK;
  }};
};

class LoadSessionTest : public ::testing::Test {
 protected:
  std::unique_ptr<LoadSession> Start(SessionRole role) {
    ChannelOptions channel;
    channel.server = echo_.server.address();
    channel.insecure = true;
    client_ = *InterpreterClient::Create(channel, RetryOptions{}, &clock_, 1);
    v1::StreamConfig config;
    config.set_source_language("en");
    config.add_target_languages("de");
    config.mutable_text_input();
    SessionPlan plan;
    plan.role = role;
    return std::make_unique<LoadSession>(client_.get(), config, &words_, plan,
                                         RandomStream(1, "test"), &clock_);
  }

  EchoServer echo_;
  StepClock clock_;
  const std::vector<std::string> words_ = {"one", "two"};
  std::unique_ptr<InterpreterClient> client_;
};

TEST_F(LoadSessionTest, ASlowReaderPausesBeforeEachEventWhileItSpeaks) {
  const auto session = Start(SessionRole::kReadsSlowly);
  const TimePoint begin = clock_.Now();
  clock_.AwaitWaits(1);
  ASSERT_TRUE(session->Speak());

  clock_.Advance(milliseconds(249));  // no pause is as short
  clock_.Advance(milliseconds(501));  // nor longer: the start of the session is read
  clock_.AwaitWaits(2);
  clock_.Advance(milliseconds(750));  // the text is read
  clock_.AwaitWaits(3);
  session->HalfClose();  // ends the third pause; the rest is read at once
  const SessionOutcome outcome = session->Join();

  EXPECT_TRUE(outcome.end.status.ok()) << outcome.end.status.ToString();
  ASSERT_TRUE(outcome.first_text_seconds.has_value());
  EXPECT_DOUBLE_EQ(*outcome.first_text_seconds, 1.5);
  EXPECT_EQ(clock_.Now() - begin, milliseconds(1500));
  EXPECT_EQ(clock_.waits(), 3);
  EXPECT_EQ(outcome.events_received, 4u);
}

TEST_F(LoadSessionTest, ASlowReaderLetsTheServerKnow) {
  const auto session = Start(SessionRole::kReadsSlowly);
  clock_.AwaitWaits(1);
  ASSERT_TRUE(session->Speak());
  clock_.Advance(milliseconds(750));
  clock_.AwaitWaits(2);  // the start was read and acknowledged
  session->HalfClose();

  EXPECT_TRUE(session->Join().end.status.ok());
  EXPECT_EQ(echo_.max_unacked, kSlowReadUnackedEvents);
  EXPECT_GE(echo_.last_ack, 1u);
}

TEST_F(LoadSessionTest, AnOrderlyReaderNeverPauses) {
  const auto session = Start(SessionRole::kOrderly);
  ASSERT_TRUE(session->Speak());
  ASSERT_TRUE(session->Speak());
  session->HalfClose();

  const SessionOutcome outcome = session->Join();

  EXPECT_EQ(clock_.waits(), 0);
  EXPECT_EQ(echo_.max_unacked, 0u);
  EXPECT_EQ(outcome.words_sent, 2u);
  EXPECT_EQ(outcome.counts.source_bytes.least, 8u);  // "one two "
}

TEST_F(LoadSessionTest, AWordThatWasNotTakenDoesNotCount) {
  const auto session = Start(SessionRole::kOrderly);
  ASSERT_TRUE(session->Speak());
  session->Cancel();

  EXPECT_FALSE(session->Speak());
  const SessionOutcome outcome = session->Join();

  EXPECT_EQ(outcome.words_sent, 1u);
  EXPECT_TRUE(outcome.end.cancelled_by_us);
  EXPECT_EQ(outcome.counts.completed.most, 0u);
}

}  // namespace
}  // namespace dragoman::client
