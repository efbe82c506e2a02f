// Soft resume against servers that break, drain and vanish in the middle of a session.
#include "client/api/resuming_stream.h"

#include <atomic>
#include <future>
#include <thread>
#include <vector>

#include "client/api/interpreter_client.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/scripted_interpreter.h"

namespace dragoman::client {
namespace {

using ::testing::ElementsAre;
using testing::Refusal;
using testing::ScriptedInterpreter;
using testing::ScriptedSession;
using testing::ServerStream;
using testing::UpperCaseSession;

v1::StreamConfig EnglishToGerman() {
  v1::StreamConfig config;
  config.set_source_language("en");
  config.add_target_languages("de");
  config.mutable_text_input();
  return config;
}

// What came out, as a user of the library sees it, and what was wrong with it.
struct Seen {
  std::vector<std::string> finals;
  std::vector<uint32_t> resumed_at;  // source_received of each resume
  std::string trouble;

  void Take(const v1::StreamEvent& event) {
    if (event.seq() != last_seq + 1) trouble += "seq ";
    if (event.time_ms() < last_time) trouble += "time ";
    last_seq = event.seq();
    last_time = event.time_ms();
    if (event.has_started()) {
      if (event.started().resumed() != (event.seq() > 1)) trouble += "resumed ";
      if (event.started().resumed()) {
        resumed_at.push_back(event.started().source_received().bytes());
      }
      open.clear();
    }
    if (event.has_delta()) {
      if (event.delta().segment() != finals.size() + 1) trouble += "segment ";
      if (event.delta().stable_offset() != open.size()) trouble += "offset ";
      open += event.delta().stable();
    }
    if (event.has_segment_final()) {
      const v1::SegmentFinal& final = event.segment_final();
      if (final.text() != open) trouble += "text ";
      if (final.segment() != finals.size() + 1) trouble += "number ";
      if (final.source_begin().bytes() != end) trouble += "begin ";
      end = final.source_end().bytes();
      open.clear();
      finals.push_back(final.text());
    }
  }
  uint32_t last_seq = 0;
  uint32_t last_time = 0;
  uint32_t end = 0;
  std::string open;
};

class ResumingStreamTest : public ::testing::Test {
 protected:
  // `addresses`: the server of the first session, of the second, ...; the last one serves the rest.
  std::unique_ptr<ResumingStream> Start(std::vector<std::string> addresses,
                                        ResumeOptions options = {}) {
    const auto opened = std::make_shared<std::atomic<size_t>>(0);
    return std::make_unique<ResumingStream>(
        [this, addresses, opened]() -> std::unique_ptr<TranslateStream> {
          const size_t number = std::min(opened->fetch_add(1), addresses.size() - 1);
          ChannelOptions channel;
          channel.server = addresses[number];
          channel.insecure = true;
          RetryOptions retry;
          retry.max_tries = 1;
          auto client = InterpreterClient::Create(channel, retry, &clock_, 1);
          EXPECT_TRUE(client.ok()) << client.status();
          StreamOptions stream;
          stream.retry = retry;
          return (*client)->StartStream(EnglishToGerman(), stream);
        },
        options, &clock_);
  }

  // Sends all, half-closes, reads to the end.
  static Seen Run(ResumingStream* stream, const std::vector<std::string>& chunks) {
    std::thread sender([&] {
      for (const std::string& chunk : chunks) EXPECT_TRUE(stream->SendText(chunk).ok());
      stream->HalfClose();
    });
    Seen seen;
    while (const auto event = stream->Next()) seen.Take(*event);
    sender.join();
    return seen;
  }

  SystemClock clock_;
};

// Translates one segment, reads on into the next, and is gone.
grpc::Status DiesInTheSecondSegment(grpc::ServerContext* context, ServerStream* stream) {
  ScriptedSession session(context, stream);
  session.ReadConfig();
  session.SendStarted();
  v1::StreamRequest request;
  session.Read(&request);  // "One two."
  session.SendStable("ONE TWO.");
  session.SendFinal(v1::FINAL_BOUNDARY);
  session.Read(&request);  // " Three"
  session.SendStable("THR");
  return Refusal(grpc::StatusCode::UNAVAILABLE, "");
}

TEST_F(ResumingStreamTest, WithoutTroubleItIsAnOrdinarySession) {
  ScriptedInterpreter server(UpperCaseSession);
  const auto stream = Start({server.address()});
  const Seen seen = Run(stream.get(), {"One two.", " Three", " four."});
  EXPECT_EQ(seen.trouble, "");
  EXPECT_THAT(seen.finals, ElementsAre("ONE TWO.", "THREE FOUR."));
  EXPECT_TRUE(stream->end().status.ok()) << stream->end().status.ToString();
  EXPECT_EQ(stream->resumes(), 0);
}

TEST_F(ResumingStreamTest, R25_ABrokenSessionGoesOnElsewhereAndFinalsStay) {
  ScriptedInterpreter broken(DiesInTheSecondSegment);
  ScriptedInterpreter good(UpperCaseSession);
  const auto stream = Start({broken.address(), good.address()});
  const Seen seen = Run(stream.get(), {"One two.", " Three", " four. Five", " six"});
  EXPECT_EQ(seen.trouble, "");
  EXPECT_THAT(seen.finals, ElementsAre("ONE TWO.", "THREE FOUR.", "FIVE SIX"));
  EXPECT_THAT(seen.resumed_at, ElementsAre(8u));
  EXPECT_TRUE(stream->end().status.ok()) << stream->end().status.ToString();
  EXPECT_EQ(stream->resumes(), 1);
}

TEST_F(ResumingStreamTest, ANextSessionWhoseConfigCameLateIsTriedAgain) {
  ScriptedInterpreter broken(DiesInTheSecondSegment);
  ScriptedInterpreter late([](grpc::ServerContext*, ServerStream*) {
    return Refusal(grpc::StatusCode::DEADLINE_EXCEEDED, "CONFIG_TIMEOUT", {{"seconds", "10"}});
  });
  ScriptedInterpreter good(UpperCaseSession);
  const auto stream = Start({broken.address(), late.address(), good.address()});
  const Seen seen = Run(stream.get(), {"One two.", " Three", " four."});
  EXPECT_EQ(seen.trouble, "");
  EXPECT_THAT(seen.finals, ElementsAre("ONE TWO.", "THREE FOUR."));
  EXPECT_TRUE(stream->end().status.ok()) << stream->end().status.ToString();
}

TEST_F(ResumingStreamTest, MarksWithoutAnAnswerAreSentAgain) {
  ScriptedInterpreter broken(DiesInTheSecondSegment);
  ScriptedInterpreter good(UpperCaseSession);
  const auto stream = Start({broken.address(), good.address()});
  ASSERT_TRUE(stream->SendText("One two.").ok());
  ASSERT_TRUE(stream->SendText(" Three").ok());
  ASSERT_TRUE(stream->EndSegment(7).ok());
  ASSERT_TRUE(stream->Flush(3).ok());
  std::vector<std::string> answers;
  while (answers.size() < 2) {
    const auto event = stream->Next();
    ASSERT_TRUE(event.has_value());
    if (event->has_segment_final() && event->segment_final().client_id() == 7) {
      answers.push_back(event->segment_final().text());
    }
    if (event->has_flush_done()) answers.push_back("flush");
  }
  EXPECT_THAT(answers, ElementsAre("THREE", "flush"));
}

TEST_F(ResumingStreamTest, WithoutReconnectTheFirstEndIsTheEnd) {
  ScriptedInterpreter broken(DiesInTheSecondSegment);
  ResumeOptions options;
  options.reconnect = false;
  const auto stream = Start({broken.address()}, options);
  ASSERT_TRUE(stream->SendText("One two.").ok());
  ASSERT_TRUE(stream->SendText(" Three").ok());
  Seen seen;
  while (const auto event = stream->Next()) seen.Take(*event);
  EXPECT_THAT(seen.finals, ElementsAre("ONE TWO."));
  EXPECT_EQ(stream->end().status.code, absl::StatusCode::kUnavailable);
  EXPECT_TRUE(stream->end().started);
}

TEST_F(ResumingStreamTest, R22_ADrainingReplicaIsLeftAtItsNextFinalAndNothingIsLost) {
  std::promise<grpc::Status> old_end;
  ScriptedInterpreter draining([&](grpc::ServerContext* context, ServerStream* stream) {
    ScriptedSession session(context, stream);
    session.ReadConfig();
    session.SendStarted();
    v1::StreamEvent notice;
    notice.mutable_notice()->set_code(v1::NOTICE_DRAINING);
    notice.mutable_notice()->set_value_ms(600000);
    session.Send(notice);
    // Each word that ends a sentence gives a final, as long as the client wants.
    v1::StreamRequest request;
    while (session.Read(&request)) {
      session.SendStable("old:" + request.text().text());
      session.SendFinal(v1::FINAL_BOUNDARY);
    }
    session.SendEnded(v1::END_COMPLETE);
    old_end.set_value(context->IsCancelled() ? grpc::Status::CANCELLED : grpc::Status::OK);
    return grpc::Status::OK;
  });
  ScriptedInterpreter fresh([](grpc::ServerContext* context, ServerStream* stream) {
    ScriptedSession session(context, stream);
    session.ReadConfig();
    session.SendStarted();
    v1::StreamRequest request;
    while (session.Read(&request)) {
      session.SendStable("new:" + request.text().text());
      session.SendFinal(v1::FINAL_BOUNDARY);
    }
    session.SendEnded(v1::END_COMPLETE);
    return grpc::Status::OK;
  });
  const auto stream = Start({draining.address(), fresh.address()});
  Seen seen;
  // One sentence after the other, each after the final of the one before, until the move is done.
  size_t sent = 0;
  while (stream->resumes() == 0 && sent < 10000) {
    ASSERT_TRUE(stream->SendText("S" + std::to_string(sent++) + ".").ok());
    while (seen.finals.size() < sent) {
      const auto event = stream->Next();
      ASSERT_TRUE(event.has_value()) << stream->end().status.ToString();
      seen.Take(*event);
    }
  }
  ASSERT_TRUE(stream->SendText("Last.").ok());
  stream->HalfClose();
  while (const auto event = stream->Next()) seen.Take(*event);
  EXPECT_TRUE(stream->end().status.ok()) << stream->end().status.ToString();
  EXPECT_EQ(seen.trouble, "");
  ASSERT_EQ(seen.finals.size(), sent + 1);
  for (size_t i = 0; i < sent; ++i) {
    EXPECT_EQ(seen.finals[i].substr(4), "S" + std::to_string(i) + ".");
  }
  EXPECT_EQ(seen.finals.back(), "new:Last.");
  // The old replica saw a client that left in peace.
  EXPECT_TRUE(old_end.get_future().get().ok());
}

TEST_F(ResumingStreamTest, TextThatADrainCutIsTranslatedAgain) {
  ScriptedInterpreter cut([](grpc::ServerContext* context, ServerStream* stream) {
    ScriptedSession session(context, stream);
    session.ReadConfig();
    session.SendStarted();
    v1::StreamRequest request;
    session.Read(&request);
    session.SendStable("HALF");
    session.SendFinal(v1::FINAL_SESSION_END);
    session.SendEnded(v1::END_DRAIN);
    return Refusal(grpc::StatusCode::UNAVAILABLE, "DRAINING");
  });
  ScriptedInterpreter good(UpperCaseSession);
  const auto stream = Start({cut.address(), good.address()});
  const Seen seen = Run(stream.get(), {"Half a sentence", " and the rest."});
  EXPECT_EQ(seen.trouble, "");
  EXPECT_THAT(seen.finals, ElementsAre("HALF A SENTENCE AND THE REST."));
}

TEST_F(ResumingStreamTest, AnEndThatNothingFollowsGivesItsLastWords) {
  ScriptedInterpreter quota([](grpc::ServerContext* context, ServerStream* stream) {
    ScriptedSession session(context, stream);
    session.ReadConfig();
    session.SendStarted();
    v1::StreamRequest request;
    session.Read(&request);
    session.SendStable("HALF");
    session.SendFinal(v1::FINAL_SESSION_END);
    session.SendEnded(v1::END_QUOTA);
    return Refusal(grpc::StatusCode::RESOURCE_EXHAUSTED, "QUOTA_SOURCE");
  });
  const auto stream = Start({quota.address()});
  ASSERT_TRUE(stream->SendText("Half a sentence").ok());
  Seen seen;
  bool ended = false;
  while (const auto event = stream->Next()) {
    seen.Take(*event);
    ended = event->has_ended();
  }
  EXPECT_THAT(seen.finals, ElementsAre("HALF"));
  EXPECT_TRUE(ended);
  EXPECT_EQ(stream->end().status.reason, "QUOTA_SOURCE");
  EXPECT_FALSE(stream->SendText("more").ok());
}

TEST_F(ResumingStreamTest, ADrainWithoutAnotherReplicaGivesItsLastWordsToo) {
  ScriptedInterpreter cut([](grpc::ServerContext* context, ServerStream* stream) {
    ScriptedSession session(context, stream);
    session.ReadConfig();
    session.SendStarted();
    v1::StreamRequest request;
    session.Read(&request);
    session.SendStable("ONE");
    session.SendFinal(v1::FINAL_BOUNDARY);
    session.Read(&request);
    session.SendStable("HALF");
    session.SendFinal(v1::FINAL_SESSION_END);
    session.SendEnded(v1::END_DRAIN);
    return Refusal(grpc::StatusCode::UNAVAILABLE, "DRAINING");
  });
  ResumeOptions options;
  options.give_up = std::chrono::milliseconds(50);
  const auto stream = Start({cut.address(), testing::UnusedAddress()}, options);
  ASSERT_TRUE(stream->SendText("One.").ok());
  ASSERT_TRUE(stream->SendText(" Half").ok());
  Seen seen;
  uint32_t received = 0;
  while (const auto event = stream->Next()) {
    seen.Take(*event);
    if (event->has_ended()) received = event->ended().source_received().bytes();
  }
  EXPECT_EQ(seen.trouble, "");
  EXPECT_THAT(seen.finals, ElementsAre("ONE", "HALF"));
  EXPECT_EQ(received, 9u);
  EXPECT_EQ(stream->end().status.code, absl::StatusCode::kUnavailable);
  EXPECT_TRUE(stream->end().started);
}

TEST_F(ResumingStreamTest, AServerThatLosesEverySessionIsGivenUp) {
  std::atomic<int> sessions{0};
  ScriptedInterpreter hopeless([&](grpc::ServerContext* context, ServerStream* stream) {
    ++sessions;
    ScriptedSession session(context, stream);
    session.ReadConfig();
    session.SendStarted();
    return Refusal(grpc::StatusCode::UNAVAILABLE, "");
  });
  const auto stream = Start({hopeless.address()});
  ASSERT_TRUE(stream->SendText("One").ok());
  while (stream->Next().has_value()) {
  }
  EXPECT_EQ(stream->end().status.code, absl::StatusCode::kUnavailable);
  EXPECT_EQ(sessions.load(), 13);
}

TEST_F(ResumingStreamTest, CancelEndsItInEveryState) {
  ScriptedInterpreter server(UpperCaseSession);
  for (int words = 0; words < 4; ++words) {
    const auto stream = Start({server.address()});
    for (int i = 0; i < words; ++i) static_cast<void>(stream->SendText("word "));
    if (words % 2 == 1) stream->Next();
    stream->Cancel();
    while (stream->Next().has_value()) {
    }
    EXPECT_TRUE(stream->end().cancelled_by_us);
  }
  const auto never_read = Start({server.address()});
  static_cast<void>(never_read->SendText("word "));
}

}  // namespace
}  // namespace dragoman::client
