#include "client/api/stream_dispatcher.h"

#include <string>

#include "client/api/interpreter_client.h"
#include "gtest/gtest.h"
#include "tests/support/scripted_interpreter.h"

namespace dragoman::client {
namespace {

using testing::ScriptedInterpreter;
using testing::UpperCaseSession;

class JoiningListener final : public StreamListener {
 public:
  void OnEvent(const v1::StreamEvent& event) override {
    if (event.has_delta()) text += event.delta().stable();
  }
  void OnEnd(const StreamEnd& stream_end) override {
    ++ends;
    end = stream_end;
  }

  std::string text;
  int ends = 0;
  StreamEnd end;
};

class StreamDispatcherTest : public ::testing::Test {
 protected:
  std::unique_ptr<TranslateStream> Start() {
    ChannelOptions channel;
    channel.server = server_.address();
    channel.insecure = true;
    auto client = InterpreterClient::Create(channel, {}, &clock_, 1);
    EXPECT_TRUE(client.ok()) << client.status();
    v1::StreamConfig config;
    config.set_source_language("en");
    config.add_target_languages("de");
    config.mutable_text_input();
    return (*client)->StartStream(config, {});
  }

  SystemClock clock_;
  ScriptedInterpreter server_{UpperCaseSession};
};

TEST_F(StreamDispatcherTest, DeliversEventsAndTheEndByCallback) {
  const auto stream = Start();
  JoiningListener listener;
  StreamDispatcher dispatcher(stream.get(), &listener);

  ASSERT_TRUE(stream->SendText("a few words").ok());
  stream->HalfClose();
  dispatcher.Wait();

  EXPECT_EQ(listener.text, "A FEW WORDS");
  EXPECT_EQ(listener.ends, 1);
  EXPECT_TRUE(listener.end.status.ok()) << listener.end.status.ToString();
}

TEST_F(StreamDispatcherTest, DestructionCancelsAndStillTellsTheEnd) {
  const auto stream = Start();
  JoiningListener listener;
  {
    StreamDispatcher dispatcher(stream.get(), &listener);
    ASSERT_TRUE(stream->SendText("never closed").ok());
  }

  EXPECT_EQ(listener.ends, 1);
  EXPECT_TRUE(listener.end.cancelled_by_us);
}

}  // namespace
}  // namespace dragoman::client
