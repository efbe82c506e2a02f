// Every row of the error table that text can provoke (V3), the effective config (V8), and what a
// client can send that is no message of the contract (V9).
#include <cmath>
#include <functional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "grpc/compression.h"
#include "gtest/gtest.h"
#include "tests/integration/raw_client.h"
#include "tests/integration/stream_client.h"
#include "tests/integration/test_server.h"
#include "tests/support/step_clock.h"

namespace dragoman::testing {
namespace {

using std::chrono::seconds;
using ::testing::Contains;
using ::testing::Key;

using Keys = std::set<std::string>;

// Exact code, domain, reason and metadata keys; `retry`: RetryInfo is there.
void ExpectError(const grpc::Status& status, grpc::StatusCode code, const std::string& reason,
                 const Keys& keys, bool retry = false) {
  EXPECT_EQ(status.error_code(), code) << status.error_message();
  const ErrorDetails details = DetailsOf(status);
  EXPECT_EQ(details.domain, "dragoman");
  EXPECT_EQ(details.reason, reason);
  Keys got;
  for (const auto& [key, value] : details.metadata) got.insert(key);
  EXPECT_EQ(got, keys) << reason;
  EXPECT_EQ(details.has_retry, retry) << reason;
}

class ErrorsTest : public ::testing::Test {
 protected:
  static TestServerOptions Options() {
    TestServerOptions options;
    options.config.max_text_chunk_bytes = 1000;
    options.config.max_unary_bytes = 2000;
    options.config.max_context_bytes = 5000;
    options.poison_word = "\U0001F600";
    return options;
  }
  static void SetUpTestSuite() { server_ = new TestServer(Options()); }
  static void TearDownTestSuite() {
    server_->ExpectConsistentAtRest();
    delete server_;
    server_ = nullptr;
  }

  grpc::Status Send(const v1::StreamConfig& config,
                    const std::vector<v1::StreamRequest>& requests = {}) {
    return RunSession(stub_.get(), config, requests).status;
  }
  grpc::Status SendChanged(const std::function<void(v1::StreamConfig*)>& change) {
    v1::StreamConfig config = MakeConfig();
    change(&config);
    return Send(config);
  }
  grpc::Status Translate(const std::function<void(v1::TranslateRequest*)>& change) {
    v1::TranslateRequest request;
    request.set_source_language("en");
    request.set_target_language("de");
    request.set_text("one two three.");
    change(&request);
    v1::TranslateResponse response;
    grpc::ClientContext context;
    return stub_->Translate(&context, request, &response);
  }

  static TestServer* server_;
  std::unique_ptr<v1::Interpreter::Stub> stub_ = server_->NewStub();
};
TestServer* ErrorsTest::server_ = nullptr;

TEST_F(ErrorsTest, V3_MessageOrder) {
  const auto code = grpc::StatusCode::INVALID_ARGUMENT;
  StreamClient text_first(stub_.get());
  text_first.Text("hello ");
  grpc::Status status = text_first.Finish();
  ExpectError(status, code, "MESSAGE_ORDER", {"index", "got"});
  EXPECT_EQ(DetailsOf(status).metadata["got"], "text");
  EXPECT_EQ(DetailsOf(status).metadata["index"], "1");

  v1::StreamRequest second;
  *second.mutable_config() = MakeConfig();
  status = Send(MakeConfig(), {TextRequest("a "), second});
  ExpectError(status, code, "MESSAGE_ORDER", {"index", "got"});
  EXPECT_EQ(DetailsOf(status).metadata["index"], "3");

  StreamClient nothing(stub_.get());
  nothing.HalfClose();
  status = nothing.Finish();
  ExpectError(status, code, "MESSAGE_ORDER", {"index", "got"});
  EXPECT_EQ(DetailsOf(status).metadata["got"], "half_close");
}

TEST_F(ErrorsTest, V3_MalformedMessage) {
  v1::StreamRequest config;
  *config.mutable_config() = MakeConfig();
  const auto channel = server_->NewChannel();
  const auto code = grpc::StatusCode::INVALID_ARGUMENT;
  ExpectError(RawStream(channel, {"\xFF\xFF\xFF"}), code, "MALFORMED_MESSAGE", {"index"});
  ExpectError(RawStream(channel, {config.SerializeAsString(), ""}), code, "MALFORMED_MESSAGE",
              {"index"});
  ExpectError(SendChanged([](auto* message) { message->clear_text_input(); }), code,
              "MALFORMED_MESSAGE", {"index"});
}

TEST_F(ErrorsTest, V3_UnknownOption) {
  const auto code = grpc::StatusCode::INVALID_ARGUMENT;
  const grpc::Status field = SendChanged([](auto* config) {
    config->mutable_output()
        ->GetReflection()
        ->MutableUnknownFields(config->mutable_output())
        ->AddVarint(77, 1);
  });
  ExpectError(field, code, "UNKNOWN_OPTION", {"field"});
  EXPECT_EQ(DetailsOf(field).metadata["field"], "output.#77");
  const grpc::Status value =
      SendChanged([](auto* config) { config->set_segment_mode(static_cast<v1::SegmentMode>(9)); });
  ExpectError(value, code, "UNKNOWN_OPTION", {"field"});
  EXPECT_EQ(DetailsOf(value).metadata["field"], "segment_mode");
}

TEST_F(ErrorsTest, V3_ValuesOutOfRange) {
  const auto code = grpc::StatusCode::INVALID_ARGUMENT;
  const Keys keys{"field", "value", "min", "max"};
  const std::vector<std::function<void(v1::StreamConfig*)>> changes = {
      [](auto* c) { c->mutable_wait_k()->set_k(0); },
      [](auto* c) { c->mutable_wait_k()->set_k(65); },
      [](auto* c) {
        c->mutable_wait_k()->set_k(3);
        c->mutable_wait_k()->set_catchup(1.5f);
      },
      [](auto* c) {
        c->mutable_wait_k()->set_k(3);
        c->mutable_wait_k()->set_stride(65);
      },
      [](auto* c) { c->mutable_align_att()->set_frames(65); },
      [](auto* c) { c->mutable_compute()->set_theta(-0.1f); },
      [](auto* c) { c->mutable_compute()->set_theta(std::nanf("")); },
      [](auto* c) { c->mutable_adaptive()->set_threshold(2); },
      [](auto* c) { c->mutable_adaptive()->set_min_words(9); },
      [](auto* c) {
        c->mutable_adaptive()->set_min_words(4);
        c->mutable_adaptive()->set_max_wait_words(3);
      },
      [](auto* c) { c->mutable_local_agreement()->set_hypotheses(1); },
      [](auto* c) { c->mutable_local_agreement()->set_step_words(65); },
      [](auto* c) { c->set_max_queue_wait_ms(30001); },
  };
  for (const auto& change : changes) {
    ExpectError(SendChanged(change), code, "VALUE_OUT_OF_RANGE", keys);
  }
  ExpectError(SendChanged([](auto* c) { c->set_session_label(std::string(65, 'a')); }), code,
              "BAD_LABEL", keys);
  ExpectError(SendChanged([](auto* c) { c->set_session_label("two words"); }), code, "BAD_LABEL",
              keys);
  for (const char* tag : {"", "e", "en_US", "123", "en--de", "toolonglanguage"}) {
    ExpectError(SendChanged([&](auto* c) { c->set_source_language(tag); }), code,
                "BAD_LANGUAGE_TAG", keys);
    ExpectError(SendChanged([&](auto* c) { c->set_target_languages(0, tag); }), code,
                "BAD_LANGUAGE_TAG", keys);
  }
}

TEST_F(ErrorsTest, V3_LanguagePairAndModel) {
  const grpc::Status pair = SendChanged([](auto* c) { c->set_target_languages(0, "pl"); });
  ExpectError(pair, grpc::StatusCode::INVALID_ARGUMENT, "LANGUAGE_PAIR_UNSUPPORTED",
              {"source", "target"});
  EXPECT_EQ(DetailsOf(pair).metadata["target"], "pl");
  ExpectError(SendChanged([](auto* c) { c->set_model("no-such-model"); }),
              grpc::StatusCode::NOT_FOUND, "MODEL_NOT_FOUND", {"model"});

  TestServerOptions options;
  options.load = false;
  TestServer loading(options);
  const auto stub = loading.NewStub();
  ExpectError(RunSession(stub.get(), MakeConfig(), {}).status, grpc::StatusCode::UNAVAILABLE,
              "MODEL_LOADING", {"model"}, /*retry=*/true);
}

TEST_F(ErrorsTest, V3_InputKindAndSizes) {
  const auto code = grpc::StatusCode::INVALID_ARGUMENT;
  v1::StreamRequest audio;
  audio.mutable_audio()->set_data("xx");
  ExpectError(Send(MakeConfig(), {audio}), code, "INPUT_KIND_MISMATCH", {});

  const grpc::Status chunk = Send(MakeConfig(), {TextRequest(std::string(1001, 'a'))});
  ExpectError(chunk, code, "CHUNK_TOO_LARGE", {"limit", "got"});
  EXPECT_EQ(DetailsOf(chunk).metadata["got"], "1001");

  const Keys keys{"limit", "got"};
  ExpectError(SendChanged([](auto* c) {
                c->mutable_context()->add_examples()->set_source(std::string(6000, 'a'));
              }),
              code, "CONTEXT_TOO_LARGE", keys);
  ExpectError(SendChanged([](auto* c) {
                for (int i = 0; i < 9; ++i) c->mutable_context()->add_examples();
              }),
              code, "CONTEXT_TOO_LARGE", keys);
  ExpectError(SendChanged([](auto* c) {
                for (int i = 0; i < 501; ++i) c->mutable_context()->add_glossary();
              }),
              code, "CONTEXT_TOO_LARGE", keys);
  ExpectError(Translate([](auto* request) { request->set_text(std::string(2001, 'a')); }), code,
              "TEXT_TOO_LONG", keys);
}

TEST_F(ErrorsTest, V3_TransportRefusesBigAndCompressedMessages) {
  const grpc::Status big = Send(MakeConfig(), {TextRequest(std::string(300 * 1024, 'a'))});
  EXPECT_EQ(big.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED) << big.error_message();

  v1::GetInfoRequest request;
  v1::GetInfoResponse response;
  grpc::ClientContext context;
  context.set_compression_algorithm(GRPC_COMPRESS_GZIP);
  v1::TranslateRequest text;
  text.set_text(std::string(1500, 'a'));
  v1::TranslateResponse answer;
  EXPECT_EQ(stub_->Translate(&context, text, &answer).error_code(),
            grpc::StatusCode::UNIMPLEMENTED);
}

TEST_F(ErrorsTest, V3_AckAheadAndFlushOrder) {
  const auto code = grpc::StatusCode::INVALID_ARGUMENT;
  ExpectError(Send(MakeConfig(), {AckRequest(1000000)}), code, "ACK_AHEAD", {});
  ExpectError(Send(MakeConfig(), {FlushRequest(2), FlushRequest(2)}), code, "FLUSH_ORDER", {});
  const std::vector<v1::StreamRequest> requests = {TextRequest("some words here "), FlushRequest(2),
                                                   FlushRequest(1)};
  const SessionResult result = RunSession(stub_.get(), MakeConfig(), requests);
  ExpectError(result.status, code, "FLUSH_ORDER", {});
  // What was opened got its final, and the end says why.
  EXPECT_EQ(BrokenInvariant(MakeConfig(), requests, result), "");
  EXPECT_EQ(result.events.back().ended().reason(), v1::END_BAD_REQUEST);
}

TEST_F(ErrorsTest, V3_ComputeFaultEndsOnlyItsStream) {
  StreamClient beside(stub_.get(), MakeConfig("wait-k:1"));
  const SessionResult result =
      RunSession(stub_.get(), MakeConfig("wait-k:1"), {TextRequest("one two \U0001F600 three. ")});
  ExpectError(result.status, grpc::StatusCode::INTERNAL, "COMPUTE_FAULT", {});
  EXPECT_EQ(result.events.back().ended().reason(), v1::END_FAULT);
  beside.Text("one two three. ");
  beside.HalfClose();
  EXPECT_TRUE(beside.Finish().ok());
}

TEST_F(ErrorsTest, V3_CancelAndDeadlineComeFromTheTransport) {
  StreamClient cancelled(stub_.get(), MakeConfig());
  cancelled.Cancel();
  EXPECT_EQ(cancelled.Finish().error_code(), grpc::StatusCode::CANCELLED);

  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(50));
  auto stream = stub_->StreamTranslate(&context);
  v1::StreamRequest request;
  *request.mutable_config() = MakeConfig();
  stream->Write(request);
  v1::StreamEvent event;
  while (stream->Read(&event)) {
  }
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
}

TEST_F(ErrorsTest, V8_EffectiveHoldsEveryFieldAndEachSetValueIsEqualOrRefusedByName) {
  struct Option {
    const char* field;
    std::function<void(v1::StreamConfig*)> set;
    bool supported;
  };
  const std::vector<Option> options = {
      {"model", [](auto* c) { c->set_model("hash-en-xx"); }, true},
      {"source_language", [](auto* c) { c->set_source_language("auto"); }, false},
      {"target_languages", [](auto* c) { c->set_target_languages(0, "fr"); }, true},
      {"target_languages", [](auto* c) { c->add_target_languages("fr"); }, false},
      {"target_languages", [](auto* c) { c->clear_target_languages(); }, false},
      {"text_input", [](auto* c) { c->mutable_text_input()->set_newline_is_boundary(true); }, true},
      {"audio_input", [](auto* c) { c->mutable_audio_input()->set_sample_rate_hz(16000); }, false},
      {"wait_k", [](auto* c) { c->mutable_wait_k()->set_k(7); }, true},
      {"wait_k.stride",
       [](auto* c) {
         c->mutable_wait_k()->set_k(7);
         c->mutable_wait_k()->set_stride(2);
       },
       true},
      {"wait_k.catchup",
       [](auto* c) {
         c->mutable_wait_k()->set_k(7);
         c->mutable_wait_k()->set_catchup(0.5);
       },
       true},
      {"sentence", [](auto* c) { c->mutable_sentence(); }, true},
      {"adaptive", [](auto* c) { c->mutable_adaptive()->set_min_words(2); }, true},
      {"local_agreement", [](auto* c) { c->mutable_local_agreement()->set_step_words(2); }, true},
      {"align_att", [](auto* c) { c->mutable_align_att(); }, true},
      {"align_att.frames", [](auto* c) { c->mutable_align_att()->set_frames(5); }, true},
      {"segment_mode", [](auto* c) { c->set_segment_mode(v1::SEGMENT_CLIENT); }, true},
      {"max_lag_ms", [](auto* c) { c->set_max_lag_ms(100); }, false},
      {"max_lag_words", [](auto* c) { c->set_max_lag_words(4); }, true},
      {"output.transcript", [](auto* c) { c->mutable_output()->set_transcript(true); }, false},
      {"output.word_stamps", [](auto* c) { c->mutable_output()->set_word_stamps(true); }, true},
      {"output.unstable_tail", [](auto* c) { c->mutable_output()->set_unstable_tail(true); }, true},
      {"output.model_stats", [](auto* c) { c->mutable_output()->set_model_stats(true); }, true},
      {"output.min_event_interval_ms",
       [](auto* c) { c->mutable_output()->set_min_event_interval_ms(5); }, true},
      {"output.speech_activity", [](auto* c) { c->mutable_output()->set_speech_activity(true); },
       false},
      {"output.max_unacked_events",
       [](auto* c) { c->mutable_output()->set_max_unacked_events(500); }, true},
      {"compute.theta", [](auto* c) { c->mutable_compute()->set_theta(0.5); }, false},
      {"compute.latent_steps", [](auto* c) { c->mutable_compute()->set_latent_steps(1); }, false},
      {"compute.seed", [](auto* c) { c->mutable_compute()->set_seed(1); }, false},
      {"compute.strict", [](auto* c) { c->mutable_compute()->set_strict(true); }, true},
      {"context.examples", [](auto* c) { c->mutable_context()->add_examples(); }, false},
      {"context.glossary", [](auto* c) { c->mutable_context()->add_glossary(); }, false},
      {"context.history", [](auto* c) { c->mutable_context()->add_history(); }, false},
      {"context.domain", [](auto* c) { c->mutable_context()->set_domain("law"); }, false},
      {"session_label", [](auto* c) { c->set_session_label("a.label-1"); }, true},
      {"max_queue_wait_ms", [](auto* c) { c->set_max_queue_wait_ms(1234); }, true},
      {"report_queue", [](auto* c) { c->set_report_queue(true); }, true},
      {"resume", [](auto* c) { c->mutable_resume()->set_token("t"); }, false},
      {"resumable", [](auto* c) { c->set_resumable(true); }, false},
      {"pause_ms", [](auto* c) { c->set_pause_ms(300); }, false},
  };
  std::set<std::string> covered;
  for (const Option& option : options) {
    covered.insert(std::string(option.field).substr(0, std::string(option.field).find('.')));
    v1::StreamConfig config = MakeConfig();
    option.set(&config);
    const SessionResult result = RunSession(stub_.get(), config, {TextRequest("A word. ")});
    if (!option.supported) {
      ExpectError(result.status, grpc::StatusCode::UNIMPLEMENTED, "OPTION_UNSUPPORTED",
                  {"field", "model"});
      EXPECT_EQ(DetailsOf(result.status).metadata["field"], option.field);
      continue;
    }
    ASSERT_TRUE(result.status.ok()) << option.field << " " << result.status.error_message();
    const v1::StreamConfig& effective = result.effective();
    // Merging what was set over what took effect changes nothing: each set value is equal.
    v1::StreamConfig merged = effective;
    merged.clear_target_languages();
    merged.MergeFrom(config);
    if (config.has_wait_k() && config.wait_k().stride() == 0)
      merged.mutable_wait_k()->set_stride(1);
    EXPECT_EQ(merged.SerializeAsString(), effective.SerializeAsString())
        << option.field << ": " << effective.ShortDebugString();
    // A value for every field: those with presence are there, the rest have a meaning at zero.
    EXPECT_FALSE(effective.model().empty());
    EXPECT_FALSE(effective.source_language().empty());
    EXPECT_EQ(effective.target_languages_size(), 1);
    EXPECT_TRUE(effective.has_text_input());
    EXPECT_NE(effective.policy_case(), v1::StreamConfig::POLICY_NOT_SET);
    EXPECT_NE(effective.segment_mode(), v1::SEGMENT_MODE_UNSPECIFIED);
    EXPECT_TRUE(effective.has_output());
    EXPECT_TRUE(effective.compute().has_theta());
    EXPECT_TRUE(effective.compute().has_latent_steps());
    EXPECT_TRUE(effective.compute().has_seed());
    EXPECT_GT(effective.max_queue_wait_ms(), 0u);
    EXPECT_FALSE(effective.has_context());
  }
  // No field of the contract was forgotten here.
  const auto* descriptor = v1::StreamConfig::descriptor();
  for (int i = 0; i < descriptor->field_count(); ++i) {
    EXPECT_THAT(covered, Contains(descriptor->field(i)->name()));
  }
}

TEST_F(ErrorsTest, AlignAttLeavesTheNumberOfWordsToTheModel) {
  v1::StreamConfig config = MakeConfig();
  config.mutable_align_att();

  const SessionResult result = RunSession(stub_.get(), config, {TextRequest("A word. ")});

  ASSERT_TRUE(result.status.ok()) << result.status.error_message();
  EXPECT_EQ(result.effective().align_att().frames(), 2u);
}

TEST(AlignAttTest, AModelWithoutHeadsRefusesItByNameWithTheRemedyAndDoesNotOfferIt) {
  TestServerOptions options;
  options.attention_heads = false;
  TestServer server(options);
  const auto stub = server.NewStub();
  v1::StreamConfig config = MakeConfig();
  config.mutable_align_att()->set_frames(2);

  const SessionResult result = RunSession(stub.get(), config, {TextRequest("A word. ")});

  ExpectError(result.status, grpc::StatusCode::UNIMPLEMENTED, "OPTION_UNSUPPORTED",
              {"field", "model"});
  EXPECT_EQ(DetailsOf(result.status).metadata["field"], "align_att");
  EXPECT_NE(result.status.error_message().find("calibrate-heads"), std::string::npos);
  grpc::ClientContext context;
  v1::ListModelsResponse models;
  ASSERT_TRUE(stub->ListModels(&context, {}, &models).ok());
  for (const std::string& feature : models.models(0).features()) EXPECT_NE(feature, "align_att");
}

// Numbers so small that they would be written with an exponent are rounded to nothing.
TEST_F(ErrorsTest, TinyFractionsOfPoliciesAreServed) {
  for (const bool wait_k : {false, true}) {
    v1::StreamConfig config = MakeConfig();
    if (wait_k) {
      config.mutable_wait_k()->set_k(1);
      config.mutable_wait_k()->set_catchup(1e-20f);
    } else {
      config.mutable_adaptive()->set_threshold(1e-20f);
    }
    const SessionResult result = RunSession(stub_.get(), config, {TextRequest("A word. ")});
    EXPECT_TRUE(result.status.ok()) << result.status.error_message();
  }
}

TEST_F(ErrorsTest, V9_WhatIsNoMessageOfTheContractIsNeverOk) {
  const auto channel = server_->NewChannel();
  RandomStream random(TestSeed(), "v9");
  v1::StreamRequest config_request;
  *config_request.mutable_config() = MakeConfig();
  config_request.mutable_config()->mutable_output()->set_word_stamps(true);
  config_request.mutable_config()->set_session_label("label");
  const std::string config = config_request.SerializeAsString();
  const std::string text = TextRequest("Größe und 日本語 text ").SerializeAsString();
  std::vector<std::vector<std::string>> cases;

  // Unknown fields in the config and its parts, and in later messages.
  for (int field : {23, 77, 99, 150, 1000}) {
    v1::StreamRequest request = config_request;
    auto* inner = request.mutable_config();
    inner->GetReflection()->MutableUnknownFields(inner)->AddVarint(field, 1);
    cases.push_back({request.SerializeAsString(), text});
    request = config_request;
    auto* output = request.mutable_config()->mutable_output();
    output->GetReflection()->MutableUnknownFields(output)->AddLengthDelimited(field, "x");
    cases.push_back({request.SerializeAsString(), text});
    v1::StreamRequest chunk = TextRequest("word ");
    chunk.GetReflection()->MutableUnknownFields(&chunk)->AddVarint(field, 1);
    cases.push_back({config, chunk.SerializeAsString()});
  }
  // Unknown enum numbers.
  for (int value : {3, 9, 100, -1}) {
    v1::StreamRequest request = config_request;
    request.mutable_config()->set_segment_mode(static_cast<v1::SegmentMode>(value));
    cases.push_back({request.SerializeAsString(), text});
    request.mutable_config()->set_segment_mode(v1::SEGMENT_AUTO);
    request.mutable_config()->mutable_audio_input()->set_encoding(
        static_cast<v1::AudioEncoding>(value + 10));
    cases.push_back({request.SerializeAsString(), text});
  }
  // Truncated messages: no proper prefix inside the payload of the outer field parses.
  for (int i = 0; i < 7; ++i) {
    cases.push_back({config.substr(0, 1 + random.NextBelow(config.size() - 1)), text});
    cases.push_back({config, text.substr(0, 1 + random.NextBelow(text.size() - 1))});
  }
  // Broken code points in every kind of place.
  for (const char* broken :
       {"\x80", "\xC3", "\xC0\xAF", "\xE2\x82", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xFF"}) {
    // The generated setters take any bytes.
    cases.push_back({config, TextRequest(std::string("word ") + broken).SerializeAsString()});
    v1::StreamRequest request = config_request;
    request.mutable_config()->set_session_label(broken);
    cases.push_back({request.SerializeAsString(), text});
  }
  ASSERT_GE(cases.size(), 50u);
  for (size_t i = 0; i < cases.size(); ++i) {
    const grpc::Status status = RawStream(channel, cases[i]);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT)
        << "case " << i << ": " << status.error_message();
    EXPECT_EQ(DetailsOf(status).domain, "dragoman") << "case " << i;
  }
  std::string response;
  EXPECT_EQ(RawUnary(channel, "/dragoman.v1.Interpreter/Translate", "\x22\x01\xFF", &response)
                .error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(
      RawUnary(channel, "/dragoman.v1.Interpreter/ListModels", "\x48\x01", &response).error_code(),
      grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(ErrorsTest, ListModelsAndGetInfoDescribeTheReplica) {
  grpc::ClientContext list_context, info_context, none_context;
  v1::ListModelsRequest list_request;
  v1::ListModelsResponse list;
  ASSERT_TRUE(stub_->ListModels(&list_context, list_request, &list).ok());
  ASSERT_EQ(list.models_size(), 1);
  EXPECT_EQ(list.models(0).ref().name(), "hash-en-xx");
  EXPECT_EQ(list.models(0).pairs_size(), 2);
  EXPECT_TRUE(list.models(0).is_default());
  EXPECT_TRUE(list.models(0).defaults().has_wait_k());
  list_request.set_target_language("pl");
  ASSERT_TRUE(stub_->ListModels(&none_context, list_request, &list).ok());
  EXPECT_EQ(list.models_size(), 0);
  v1::GetInfoResponse info;
  ASSERT_TRUE(stub_->GetInfo(&info_context, v1::GetInfoRequest(), &info).ok());
  EXPECT_EQ(info.instance(), "replica-1");
  EXPECT_EQ(info.limits().text_chunk_bytes(), 1000u);
  EXPECT_EQ(info.load_size(), 0);
}

// Longer than any jump of the clock below: a jump must not look like a write that takes for ever.
constexpr uint32_t kWriteStall = 600;

// Rows that depend on time run on a clock that the test moves.
class TimedErrorsTest : public ::testing::Test {
 protected:
  TimedErrorsTest() {
    TestServerOptions options;
    options.clock = &clock_;
    options.config.slots = 1;
    options.config.queue_depth = 1;
    options.config.write_stall_seconds = kWriteStall;
    server_ = std::make_unique<TestServer>(options);
    stub_ = server_->NewStub();
  }
  ~TimedErrorsTest() override { server_->ExpectConsistentAtRest(); }

  std::unique_ptr<StreamClient> Open(const v1::StreamConfig& config) {
    auto client = std::make_unique<StreamClient>(stub_.get(), config);
    client->ReadUntil([](const v1::StreamEvent& event) { return event.has_started(); });
    return client;
  }
  static v1::Notice NextNotice(StreamClient* client) {
    return client->ReadUntil([](const v1::StreamEvent& event) { return event.has_notice(); })
        .notice();
  }
  // Waits until a call has reached the server, by its own metric.
  void AwaitMetric(const std::string& family, const std::string& label, double value) {
    while (server_->Metric(family, label) < value) std::this_thread::yield();
  }

  StepClock clock_;
  std::unique_ptr<TestServer> server_;
  std::unique_ptr<v1::Interpreter::Stub> stub_;
};

TEST_F(TimedErrorsTest, V3_ConfigTimeout) {
  StreamClient client(stub_.get());
  AwaitMetric("grpc_server_started_total", "", 1);
  clock_.Advance(seconds(9));
  clock_.Advance(seconds(1));
  ExpectError(client.Finish(), grpc::StatusCode::DEADLINE_EXCEEDED, "CONFIG_TIMEOUT", {"seconds"});
}

TEST_F(TimedErrorsTest, V3_IdleTimeoutAfterItsNotice) {
  const auto client = Open(MakeConfig());
  clock_.Advance(seconds(45));
  const v1::Notice notice = NextNotice(client.get());
  EXPECT_EQ(notice.code(), v1::NOTICE_IDLE_SOON);
  EXPECT_EQ(notice.value_ms(), 15000u);
  clock_.Advance(seconds(15));
  ExpectError(client->Finish(), grpc::StatusCode::DEADLINE_EXCEEDED, "IDLE_TIMEOUT", {"seconds"});
  EXPECT_EQ(client->events().back().ended().reason(), v1::END_IDLE);
}

TEST_F(TimedErrorsTest, V3_DurationLimitAfterItsNotice) {
  const auto client = Open(MakeConfig());
  // Flushes keep the session from being idle.
  uint32_t flush = 0;
  const auto pass_time = [&](int total) {
    for (int passed = 0; passed < total; passed += 20) {
      client->Write(FlushRequest(++flush));
      client->ReadUntil([](const v1::StreamEvent& event) { return event.has_flush_done(); });
      clock_.Advance(seconds(20));
    }
  };
  pass_time(14340);
  EXPECT_EQ(NextNotice(client.get()).code(), v1::NOTICE_DURATION_SOON);
  pass_time(60);
  ExpectError(client->Finish(), grpc::StatusCode::OUT_OF_RANGE, "DURATION_LIMIT", {"seconds"});
  EXPECT_EQ(client->events().back().ended().reason(), v1::END_DURATION);
}

TEST_F(TimedErrorsTest, V3_NoCapacityAndQueueTimeout) {
  const auto holder = Open(MakeConfig());
  v1::StreamConfig config = MakeConfig();
  config.set_report_queue(true);
  StreamClient queued(stub_.get(), config);
  const v1::StreamEvent place =
      queued.ReadUntil([](const v1::StreamEvent& event) { return event.has_queued(); });
  EXPECT_EQ(place.queued().ahead(), 0u);
  EXPECT_EQ(place.queued().wait_limit_ms(), 2000u);
  ExpectError(RunSession(stub_.get(), MakeConfig(), {}).status, grpc::StatusCode::UNAVAILABLE,
              "NO_CAPACITY", {"slots", "queued"}, /*retry=*/true);
  clock_.Advance(seconds(2));
  ExpectError(queued.Finish(), grpc::StatusCode::UNAVAILABLE, "QUEUE_TIMEOUT", {"slots", "queued"},
              /*retry=*/true);
  holder->HalfClose();
  EXPECT_TRUE(holder->Finish().ok());
}

TEST_F(TimedErrorsTest, QueuedStreamStartsWhenASlotComesFree) {
  auto holder = Open(MakeConfig());
  v1::StreamConfig config = MakeConfig();
  config.set_report_queue(true);
  StreamClient queued(stub_.get(), config);
  queued.ReadUntil([](const v1::StreamEvent& event) { return event.has_queued(); });
  clock_.Advance(std::chrono::milliseconds(500));
  holder->HalfClose();
  EXPECT_TRUE(holder->Finish().ok());
  const v1::StreamEvent started =
      queued.ReadUntil([](const v1::StreamEvent& event) { return event.has_started(); });
  EXPECT_EQ(started.started().queue_wait_ms(), 500u);
  queued.Text("A sentence. ");
  queued.HalfClose();
  EXPECT_TRUE(queued.Finish().ok());
}

TEST_F(TimedErrorsTest, V3_H7_SlowReaderByMissingAcknowledgements) {
  v1::StreamConfig config = MakeConfig("wait-k:1");
  config.mutable_output()->set_max_unacked_events(3);
  const auto client = Open(config);
  for (int i = 0; i < 50; ++i) client->Text("A sentence of six words here. ");
  for (int i = 0; i < 2; ++i) {
    v1::StreamEvent event;
    ASSERT_TRUE(client->Read(&event));
  }
  // The gate closes when the fourth event is there; only then, and with no write under way, may
  // time pass.
  AwaitMetric("dragoman_streams", "state=\"paused\"", 1);
  AwaitMetric("dragoman_event_write_seconds_count", "", 3);
  clock_.Advance(seconds(kWriteStall));
  const grpc::Status status = client->Finish();
  ExpectError(status, grpc::StatusCode::RESOURCE_EXHAUSTED, "SLOW_READER", {"seconds", "unacked"});
  EXPECT_EQ(DetailsOf(status).metadata["unacked"], "3");
  EXPECT_EQ(client->events().back().ended().reason(), v1::END_SLOW_READER);
}

TEST_F(TimedErrorsTest, AcknowledgementsKeepAStreamGoing) {
  v1::StreamConfig config = MakeConfig("wait-k:1");
  config.mutable_output()->set_max_unacked_events(2);
  const auto client = Open(config);
  client->Text("One two three. Four five six. Seven eight nine. ");
  size_t finals = 0;
  client->Write(AckRequest(1));
  v1::StreamEvent event;
  while (finals < 3 && client->Read(&event)) {
    client->Write(AckRequest(event.seq()));
    if (event.has_segment_final()) ++finals;
  }
  EXPECT_EQ(finals, 3u);
  client->HalfClose();
  EXPECT_TRUE(client->Finish().ok());
}

}  // namespace
}  // namespace dragoman::testing
