// Who may call and how: tokens, roles, client certificates, quotas, revocation (V16), certificates
// that are replaced under load (R32), and no user text anywhere (R38).
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/sha256.h"
#include "gmock/gmock.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "gtest/gtest.h"
#include "tests/integration/raw_client.h"
#include "tests/integration/stream_client.h"
#include "tests/integration/test_server.h"
#include "tests/support/test_certificates.h"

namespace dragoman::testing {
namespace {

using grpc::StatusCode;
using ::testing::HasSubstr;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

std::string Row(const std::string& token, const std::string& rest) {
  return absl::StrCat("sha256:", Sha256Hex(token), " ", rest, "\n");
}

class SecurityTest : public ::testing::Test {
 protected:
  SecurityTest() : folder_(absl::StrCat(::testing::TempDir(), "/security_", getpid())) {
    std::filesystem::create_directories(folder_);
  }
  ~SecurityTest() override { std::filesystem::remove_all(folder_); }
  std::string Path(const std::string& name) const { return folder_ + "/" + name; }
  void Write(const std::string& name, const std::string& text) {
    ASSERT_TRUE(WriteFileAtomically(Path(name), text).ok());
  }
  void WritePair(const TestPair& pair) {
    Write("cert", pair.certificate);
    Write("key", pair.key);
  }
  TestServerOptions WithTokens() {
    TestServerOptions options;
    options.config.token_file = Path("clients");
    return options;
  }
  TestServerOptions WithTls() {
    TestServerOptions options;
    options.config.insecure = false;
    options.config.cert = Path("cert");
    options.config.key = Path("key");
    return options;
  }
  std::shared_ptr<grpc::Channel> TlsChannel(const TestServer& server, const TestPair& own = {}) {
    grpc::SslCredentialsOptions ssl;
    ssl.pem_root_certs = authority_.certificate();
    ssl.pem_cert_chain = own.certificate;
    ssl.pem_private_key = own.key;
    grpc::ChannelArguments arguments;
    arguments.SetInt("grpc.use_local_subchannel_pool", 1);
    arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
    return grpc::CreateCustomChannel(
        absl::StrCat("localhost:", const_cast<TestServer&>(server).server().port()),
        grpc::SslCredentials(ssl), arguments);
  }

  const std::string folder_;
  const TestAuthority authority_;
};

// One call of every method with the given metadata; the statuses by method.
std::map<std::string, grpc::Status> CallAll(v1::Interpreter::Stub* stub,
                                            const std::string& authorization) {
  std::map<std::string, grpc::Status> statuses;
  const auto prepare = [&](grpc::ClientContext* context) {
    if (!authorization.empty()) context->AddMetadata("authorization", authorization);
  };
  {
    StreamClient client(stub, MakeConfig(), authorization);
    client.Text("A sentence. ");
    client.HalfClose();
    statuses["StreamTranslate"] = client.Finish();
  }
  {
    grpc::ClientContext context;
    prepare(&context);
    v1::TranslateRequest request;
    request.set_source_language("en");
    request.set_target_language("de");
    request.set_text("one two three.");
    v1::TranslateResponse response;
    statuses["Translate"] = stub->Translate(&context, request, &response);
  }
  {
    grpc::ClientContext context;
    prepare(&context);
    v1::ListModelsResponse response;
    statuses["ListModels"] = stub->ListModels(&context, {}, &response);
  }
  {
    grpc::ClientContext context;
    prepare(&context);
    v1::GetInfoResponse response;
    statuses["GetInfo"] = stub->GetInfo(&context, {}, &response);
    if (statuses["GetInfo"].ok()) {
      statuses["load"] =
          response.load_size() > 0 ? grpc::Status::OK : grpc::Status(StatusCode::NOT_FOUND, "");
    }
  }
  return statuses;
}

TEST_F(SecurityTest, V16_EveryMethodWithEveryRoleAndCredential) {
  Write("clients", Row("t", "speaker translate default - -") +
                       Row("o", "watcher operator default - -") +
                       Row("b", "both translate,operator default - -") +
                       Row("e", "late translate,operator default 2020-01-01T00:00:00Z -"));
  TestServer server(WithTokens());
  const auto stub = server.NewStub();
  struct Column {
    const char* authorization;
    StatusCode translate;  // StreamTranslate, Translate
    StatusCode ask;        // ListModels, GetInfo
    const char* translate_reason;
    const char* ask_reason;
    bool load;
  };
  for (const Column& column : std::vector<Column>{
           {"", StatusCode::UNAUTHENTICATED, StatusCode::UNAUTHENTICATED, "TOKEN_MISSING",
            "TOKEN_MISSING", false},
           {"Bearer x", StatusCode::UNAUTHENTICATED, StatusCode::UNAUTHENTICATED, "TOKEN_INVALID",
            "TOKEN_INVALID", false},
           {"Basic t", StatusCode::UNAUTHENTICATED, StatusCode::UNAUTHENTICATED, "TOKEN_INVALID",
            "TOKEN_INVALID", false},
           {"Bearer e", StatusCode::UNAUTHENTICATED, StatusCode::UNAUTHENTICATED, "TOKEN_EXPIRED",
            "TOKEN_EXPIRED", false},
           {"Bearer o", StatusCode::PERMISSION_DENIED, StatusCode::OK, "ROLE_MISSING", "", true},
           {"Bearer t", StatusCode::OK, StatusCode::OK, "", "", false},
           {"Bearer b", StatusCode::OK, StatusCode::OK, "", "", true},
       }) {
    auto statuses = CallAll(stub.get(), column.authorization);
    for (const char* method : {"StreamTranslate", "Translate"}) {
      EXPECT_EQ(statuses[method].error_code(), column.translate) << column.authorization << method;
      EXPECT_EQ(DetailsOf(statuses[method]).reason, column.translate_reason) << method;
    }
    for (const char* method : {"ListModels", "GetInfo"}) {
      EXPECT_EQ(statuses[method].error_code(), column.ask) << column.authorization << method;
      EXPECT_EQ(DetailsOf(statuses[method]).reason, column.ask_reason) << method;
    }
    if (column.ask == StatusCode::OK) {
      EXPECT_EQ(statuses["load"].ok(), column.load) << column.authorization;
    }
  }
  EXPECT_THAT(DetailsOf(CallAll(stub.get(), "Bearer o")["Translate"]).metadata,
              UnorderedElementsAre(Pair("role", "translate")));
  // Health stays open: who asks for it has no token.
  HealthWatch health(server.NewChannel(), "");
  EXPECT_EQ(health.Next(), 1);
  server.ExpectConsistentAtRest();
  EXPECT_EQ(server.Metric("dragoman_auth_failures_total", "reason=\"ROLE_MISSING\""), 4);
}

TEST_F(SecurityTest, V16_ARemovedTokenEndsItsStreamsAndNoOther) {
  Write("clients", Row("a", "a translate default - -") + Row("b", "b translate default - -"));
  TestServer server(WithTokens());
  const auto stub = server.NewStub();
  StreamClient gone(stub.get(), MakeConfig(), "Bearer a");
  StreamClient stays(stub.get(), MakeConfig(), "Bearer b");
  for (StreamClient* client : {&gone, &stays}) {
    client->ReadUntil([](const v1::StreamEvent& event) { return event.has_started(); });
    client->Text("One sentence that is open ");
  }
  Write("clients", Row("b", "b translate default - -"));
  server.server().CheckCredentials();  // runs every 5 s by itself

  const grpc::Status status = gone.Finish();
  EXPECT_EQ(status.error_code(), StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(DetailsOf(status).reason, "TOKEN_REVOKED");
  EXPECT_EQ(gone.events().back().ended().reason(), v1::END_REVOKED);
  stays.HalfClose();
  EXPECT_TRUE(stays.Finish().ok());
  EXPECT_EQ(CallAll(stub.get(), "Bearer a")["GetInfo"].error_code(), StatusCode::UNAUTHENTICATED);
  server.ExpectConsistentAtRest();
}

TEST_F(SecurityTest, V3_QuotasOfAClientSayWhichAndWhenToComeBack) {
  Write("clients", "class small streams=2\nclass slow starts=1\nclass short words=10\n" +
                       Row("a", "a translate small - -") + Row("b", "b translate slow - -") +
                       Row("c", "c translate short - -"));
  TestServer server(WithTokens());
  const auto stub = server.NewStub();
  const auto started = [](const v1::StreamEvent& event) { return event.has_started(); };
  const auto expect_quota = [](const grpc::Status& status, const char* reason, const char* limit) {
    EXPECT_EQ(status.error_code(), StatusCode::RESOURCE_EXHAUSTED) << status.error_message();
    const ErrorDetails details = DetailsOf(status);
    EXPECT_EQ(details.reason, reason);
    EXPECT_EQ(details.metadata.at("limit"), limit);
    EXPECT_EQ(details.metadata.count("window"), 1u);
    EXPECT_TRUE(details.has_retry);
  };
  {
    StreamClient first(stub.get(), MakeConfig(), "Bearer a");
    StreamClient second(stub.get(), MakeConfig(), "Bearer a");
    first.ReadUntil(started);
    second.ReadUntil(started);
    expect_quota(StreamClient(stub.get(), MakeConfig(), "Bearer a").Finish(), "QUOTA_STREAMS", "2");
    first.HalfClose();
    EXPECT_TRUE(first.Finish().ok());
    StreamClient third(stub.get(), MakeConfig(), "Bearer a");
    third.ReadUntil(started);
    for (StreamClient* client : {&second, &third}) {
      client->HalfClose();
      EXPECT_TRUE(client->Finish().ok());
    }
  }
  {
    StreamClient first(stub.get(), MakeConfig(), "Bearer b");
    first.ReadUntil(started);
    expect_quota(StreamClient(stub.get(), MakeConfig(), "Bearer b").Finish(), "QUOTA_RATE", "1");
  }
  {
    StreamClient talker(stub.get(), MakeConfig(), "Bearer c");
    talker.ReadUntil(started);
    talker.Text("one two three four five six seven eight nine ten eleven twelve ");
    expect_quota(talker.Finish(), "QUOTA_SOURCE", "10");
    EXPECT_EQ(talker.events().back().ended().reason(), v1::END_QUOTA);
    expect_quota(StreamClient(stub.get(), MakeConfig(), "Bearer c").Finish(), "QUOTA_SOURCE", "10");
  }
  server.ExpectConsistentAtRest();
  EXPECT_EQ(server.Metric("dragoman_quota_rejects_total", "quota=\"streams\""), 1);
}

TEST_F(SecurityTest, TlsServesWhoTrustsItAndPlainTextGetsNothing) {
  WritePair(authority_.Issue());
  TestServer server(WithTls());
  const auto stub = v1::Interpreter::NewStub(TlsChannel(server));
  EXPECT_TRUE(RunSession(stub.get(), MakeConfig(), {TextRequest("A sentence. ")}).status.ok());
  const auto plain = server.NewStub();
  EXPECT_FALSE(RunSession(plain.get(), MakeConfig(), {TextRequest("A sentence. ")}).status.ok());
  server.server().ProbeListener();  // without TLS, and still answered
  EXPECT_EQ(server.Metric("dragoman_self_probe_failures_total"), 0);
  EXPECT_GT(server.Metric("dragoman_tls_not_after_timestamp_seconds"), 1.7e9);
  server.ExpectConsistentAtRest();
}

TEST_F(SecurityTest, ClientCertificatesNameTheClient) {
  WritePair(authority_.Issue());
  Write("ca", authority_.certificate());
  TestServerOptions options = WithTls();
  options.config.client_ca = Path("ca");
  TestServer server(options);
  const auto known = v1::Interpreter::NewStub(TlsChannel(server, authority_.Issue("spiffe://x/a")));
  EXPECT_TRUE(RunSession(known.get(), MakeConfig(), {TextRequest("A sentence. ")}).status.ok());

  const auto nobody = v1::Interpreter::NewStub(TlsChannel(server));
  EXPECT_EQ(RunSession(nobody.get(), MakeConfig(), {}).status.error_code(),
            StatusCode::UNAVAILABLE);
  const TestAuthority other;
  const auto stranger = v1::Interpreter::NewStub(TlsChannel(server, other.Issue("spiffe://x/a")));
  EXPECT_EQ(RunSession(stranger.get(), MakeConfig(), {}).status.error_code(),
            StatusCode::UNAVAILABLE);
  ASSERT_TRUE(server.WaitAtRest());
  const auto lines = server.logger().lines("session_end");
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0].at("client"), "spiffe://x/a");
}

// Shortened: 20 replacements, 5 of them broken, instead of 100 and 10.
TEST_F(SecurityTest, R32_CertificatesAreReplacedUnderLoadWithoutAFailedHandshake) {
  WritePair(authority_.Issue());
  TestServer server(WithTls());
  const auto running = v1::Interpreter::NewStub(TlsChannel(server));
  StreamClient lives(running.get(), MakeConfig());
  lives.ReadUntil([](const v1::StreamEvent& event) { return event.has_started(); });

  for (int round = 0; round < 20; ++round) {
    if (round % 4 == 3) {
      Write("cert", round % 8 == 3 ? "garbage" : authority_.Issue().certificate);
    } else {
      WritePair(authority_.Issue());
    }
    server.server().CheckCredentials();
    const auto stub = v1::Interpreter::NewStub(TlsChannel(server));
    const SessionResult result = RunSession(stub.get(), MakeConfig(), {TextRequest("A word. ")});
    EXPECT_TRUE(result.status.ok()) << round << ": " << result.status.error_message();
    lives.Text("word ");
  }
  lives.HalfClose();
  EXPECT_TRUE(lives.Finish().ok());
  EXPECT_EQ(server.Metric("dragoman_credential_reloads_total", "result=\"failed\""), 5);
  EXPECT_EQ(server.Metric("dragoman_credential_reloads_total", "result=\"ok\""), 15);
}

TEST_F(SecurityTest, R38_AMarkerInEveryFieldIsInNoLogNoMetricAndNoError) {
  const std::string marker = "Quetzalmarker";
  Write("clients", Row("t", "speaker translate default - -"));
  TestServer server(WithTokens());
  const auto stub = server.NewStub();
  std::vector<std::string> messages;
  const auto run = [&](const v1::StreamConfig& config, const std::string& authorization,
                       const std::vector<v1::StreamRequest>& requests) {
    StreamClient client(stub.get(), config, authorization);
    for (const auto& request : requests) client.Write(request);
    client.HalfClose();
    const grpc::Status status = client.Finish();
    messages.push_back(status.error_message());
    for (const auto& [key, value] : DetailsOf(status).metadata) messages.push_back(value);
    for (const auto& event : client.events()) {
      if (event.has_notice()) messages.push_back(event.notice().DebugString());
    }
  };
  const std::string token = "Bearer t";
  const std::string text = marker + " has said something. ";
  run(MakeConfig(), token, {TextRequest(text)});
  run(MakeConfig(), "Bearer " + marker, {});
  run(MakeConfig(), marker, {});
  const std::string spaced = marker + " " + marker;
  for (const auto& change : std::vector<std::function<void(v1::StreamConfig*)>>{
           [&](auto* c) { c->set_model(spaced); },
           [&](auto* c) { c->set_source_language(spaced); },
           [&](auto* c) { c->set_target_languages(0, spaced); },
           [&](auto* c) { c->set_session_label(spaced); },
           [&](auto* c) { c->mutable_context()->set_domain(marker); },
           [&](auto* c) { c->mutable_context()->add_history()->set_source(marker); },
           [&](auto* c) { c->mutable_context()->add_glossary()->set_target(marker); },
           [&](auto* c) { c->mutable_context()->add_examples()->set_target(marker); },
           [&](auto* c) { c->mutable_resume()->set_token(marker); },
       }) {
    v1::StreamConfig config = MakeConfig();
    change(&config);
    run(config, token, {TextRequest(text)});
  }
  v1::StreamRequest audio;
  audio.mutable_audio()->set_data(marker);
  run(MakeConfig(), token, {TextRequest(text), audio});
  run(MakeConfig(), token, {TextRequest(text), FlushRequest(2), FlushRequest(1)});

  ASSERT_TRUE(server.WaitAtRest());
  for (const std::string& message : messages) EXPECT_THAT(message, Not(HasSubstr(marker)));
  EXPECT_THAT(server.logger().AllText(), Not(HasSubstr(marker)));
  EXPECT_THAT(server.logger().AllText(), HasSubstr("session_end"));
  const std::string scrape = server.server().telemetry().Scrape();
  EXPECT_THAT(scrape, Not(HasSubstr(marker)));
  EXPECT_LE(std::count(scrape.begin(), scrape.end(), '\n'), 2000);
}

}  // namespace
}  // namespace dragoman::testing
