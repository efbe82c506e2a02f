#include "client/api/interpreter_client.h"

#include "gtest/gtest.h"
#include "tests/support/scripted_interpreter.h"

namespace dragoman::client {
namespace {

using testing::Refusal;
using testing::ScriptedInterpreter;
using testing::UpperCaseSession;

class InterpreterClientTest : public ::testing::Test {
 protected:
  std::unique_ptr<InterpreterClient> Connect(const std::string& address) {
    ChannelOptions channel;
    channel.server = address;
    channel.insecure = true;
    RetryOptions retry;
    retry.initial_wait = std::chrono::milliseconds(1);
    retry.max_wait = std::chrono::milliseconds(2);
    auto client = InterpreterClient::Create(channel, retry, &clock_, 1);
    EXPECT_TRUE(client.ok()) << client.status();
    return std::move(client).value();
  }

  SystemClock clock_;
  ScriptedInterpreter server_{UpperCaseSession};
};

TEST_F(InterpreterClientTest, RefusesBadOptions) {
  ChannelOptions options;
  options.cert_file = "a certificate without its key";
  EXPECT_EQ(InterpreterClient::Create(options, {}, &clock_, 1).status().code(),
            absl::StatusCode::kInvalidArgument);
  options.cert_file = "";
  options.ca_file = "/nowhere/at/all.pem";
  EXPECT_EQ(InterpreterClient::Create(options, {}, &clock_, 1).status().code(),
            absl::StatusCode::kNotFound);
}

TEST_F(InterpreterClientTest, TranslatesAWholeText) {
  v1::TranslateRequest request;
  request.set_text("good morning");
  v1::TranslateResponse response;

  const CallStatus status = Connect(server_.address())->Translate(request, &response);

  EXPECT_TRUE(status.ok()) << status.ToString();
  EXPECT_EQ(response.text(), "GOOD MORNING");
}

TEST_F(InterpreterClientTest, ListsModelsAndInfo) {
  const auto client = Connect(server_.address());
  v1::ListModelsResponse models;
  v1::GetInfoResponse info;

  EXPECT_TRUE(client->ListModels({}, &models).ok());
  EXPECT_TRUE(client->GetInfo({}, &info).ok());

  ASSERT_EQ(models.models_size(), 1);
  EXPECT_EQ(models.models(0).ref().name(), "scripted");
  EXPECT_EQ(info.instance(), "scripted");
}

TEST_F(InterpreterClientTest, DecodesARefusal) {
  server_.unary_status =
      Refusal(grpc::StatusCode::INVALID_ARGUMENT, "TEXT_TOO_LONG", {{"limit", "65536"}});
  v1::TranslateResponse response;

  const CallStatus status = Connect(server_.address())->Translate({}, &response);

  EXPECT_EQ(status.code, absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.reason, "TEXT_TOO_LONG");
  EXPECT_EQ(status.metadata.at("limit"), "65536");
}

TEST_F(InterpreterClientTest, GivesUpOnAServerThatIsNotThere) {
  v1::GetInfoResponse info;

  const CallStatus status = Connect(testing::UnusedAddress())->GetInfo({}, &info);

  EXPECT_EQ(status.code, absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace dragoman::client
