#include "tests/integration/test_server.h"

#include <chrono>
#include <thread>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/check.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "gtest/gtest.h"
#include "model/engine/engine.h"
#include "model/engine/token_traits.h"

namespace dragoman::testing {

void RecordingLogger::Log(LogLevel, std::string_view event, std::vector<LogField> fields) {
  Line line;
  for (LogField& field : fields) {
    std::string& value = line[std::string(field.name)];
    std::visit(
        [&value](const auto& v) {
          if constexpr (std::is_same_v<std::decay_t<decltype(v)>, std::string>) {
            value = v;
          } else {
            value = absl::StrCat(v);
          }
        },
        field.value);
  }
  const MutexLock lock(&mu_);
  lines_.emplace_back(std::string(event), std::move(line));
}

std::vector<RecordingLogger::Line> RecordingLogger::lines(const std::string& event) const {
  const MutexLock lock(&mu_);
  std::vector<Line> found;
  for (const auto& [name, line] : lines_) {
    if (name == event) found.push_back(line);
  }
  return found;
}

std::string RecordingLogger::AllText() const {
  const MutexLock lock(&mu_);
  std::string text;
  for (const auto& [name, line] : lines_) {
    absl::StrAppend(&text, name);
    for (const auto& [field, value] : line) absl::StrAppend(&text, " ", field, "=", value);
    absl::StrAppend(&text, "\n");
  }
  return text;
}

int64_t RecordingLogger::Sum(const std::string& event, const std::string& field) const {
  int64_t sum = 0;
  for (const Line& line : lines(event)) {
    int64_t value = 0;
    EXPECT_TRUE(absl::SimpleAtoi(line.at(field), &value)) << field;
    sum += value;
  }
  return sum;
}

TestServerOptions::TestServerOptions() {
  config.listen = "127.0.0.1:0";
  config.admin_listen = "off";
  config.insecure = true;
  config.model = "hash";
  config.drain_grace_seconds = 0;
  hash.seed = 20261124;
}

TestServer::TestServer(TestServerOptions options) : options_(std::move(options)) {
  if (options_.clock == nullptr) options_.clock = &system_clock_;
  auto tokenizer = model::LoadTokenizer(DRAGOMAN_BUILD_DIR "/tests/integration_tokenizer");
  DRAGOMAN_CHECK_MSG(tokenizer.ok(), std::string(tokenizer.status().ToString()));
  tokenizer_ = *std::move(tokenizer);
  auto server = server::DragomanServer::Start({options_.config,
                                               "text of the config\n",
                                               {"0.0-test", "commit", "replica-1"},
                                               options_.clock,
                                               &logger_,
                                               options_.on_fatal,
                                               options_.keepalive_period,
                                               options_.keepalive_timeout});
  DRAGOMAN_CHECK_MSG(server.ok(), std::string(server.status().ToString()));
  server_ = *std::move(server);
  if (options_.load) Load();
}

TestServer::~TestServer() = default;

void TestServer::Load(const std::function<void()>& before) {
  const absl::Status status = server_->LoadModel([&]() -> absl::StatusOr<server::ModelParts> {
    before();
    if (options_.loader) return options_.loader(options_.config);
    const auto control = [&](const char* name) { return tokenizer_->FindControl(name).value(); };
    server::ModelParts parts;
    parts.end_of_target = control("</s>");
    model::HashBackboneOptions hash = options_.hash;
    hash.traits =
        model::MakeTokenTraits(*tokenizer_, tokenizer_->vocab_size(), parts.end_of_target);
    hash.end_of_target = parts.end_of_target;
    hash.max_positions = options_.max_positions;
    hash.max_pages =
        model::PagesForSlots(options_.config.slots, options_.max_positions, options_.max_positions);
    if (!options_.poison_word.empty()) {
      hash.poison_token = tokenizer_->EncodeWord(options_.poison_word, false).back();
    }
    parts.model.name = "hash-en-xx";
    parts.model.digest = "0123abcd";
    parts.model.description = "a hash in place of a transformer";
    parts.model.license = "Apache-2.0";
    parts.model.source_language = "en";
    parts.model.is_default = true;
    if (options_.attention_heads) {
      parts.model.attention_heads = {{.layer = 0, .head = 0}};
      parts.model.align_att_words = 2;
    }
    if (hash.skips_mlp) {
      parts.model.router = server::ServedRouter{"4567cdef", "0123abcd", "linear", {0.25, 0.4}};
    }
    parts.model.max_positions = options_.max_positions;
    parts.model.tokenizer = tokenizer_;
    for (const char* language : {"de", "fr"}) {
      model::StreamLayout layout;
      layout.prompt = {control("<s>"), control(language[0] == 'd' ? "<2de>" : "<2fr>"),
                       control("<src>")};
      layout.source_end = {control("<eos_src>")};
      layout.target_header = {control("<tgt>")};
      layout.end_of_target = parts.end_of_target;
      layout.max_positions = options_.max_positions;
      parts.model.layouts[language] = layout;
    }
    parts.backbone = std::make_unique<model::HashBackbone>(std::move(hash));
    return parts;
  });
  DRAGOMAN_CHECK_MSG(status.ok(), std::string(status.ToString()));
}

std::shared_ptr<grpc::Channel> TestServer::NewChannel() const {
  grpc::ChannelArguments arguments;
  arguments.SetInt("grpc.use_local_subchannel_pool", 1);  // a connection of its own
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  return grpc::CreateCustomChannel(absl::StrCat("127.0.0.1:", server_->port()),
                                   grpc::InsecureChannelCredentials(), arguments);
}

std::unique_ptr<v1::Interpreter::Stub> TestServer::NewStub() const {
  return v1::Interpreter::NewStub(NewChannel());
}

bool TestServer::WaitAtRest() {
  SystemClock clock;
  const TimePoint limit = clock.Now() + std::chrono::seconds(60);
  if (!server_->table().WaitUntilEmpty(&clock, limit, [] { return false; })) return false;
  // What is freed outside the session's lock, and calls that never became sessions, may still be
  // on their way out.
  while (clock.Now() < limit) {
    if (AtRest()) return true;
    std::this_thread::yield();
  }
  return false;
}

bool TestServer::AtRest() const {
  const server::AdmissionStats admission = server_->admission().stats();
  if (admission.slots_used != 0 || admission.queued != 0) return false;
  for (const auto& model : server_->catalog().models()) {
    const model::EngineStats stats = model->engine->stats();
    if (stats.slots_used != 0 || stats.cache.open_streams != 0) return false;
  }
  // In this order, so that a call between the two cannot hide one that is still open.
  const double handled = Metric("grpc_server_handled_total");
  return Metric("grpc_server_started_total") == handled;
}

double TestServer::Metric(const std::string& family, const std::string& label) const {
  double sum = 0;
  for (const std::string& line :
       std::vector<std::string>(absl::StrSplit(server_->telemetry().Scrape(), '\n'))) {
    const size_t blank = line.rfind(' ');
    if (blank == std::string::npos || !absl::StartsWith(line, family)) continue;
    const char next = line[family.size()];
    if (next != '{' && next != ' ') continue;
    if (!label.empty() && !absl::StrContains(line, label)) continue;
    double value = 0;
    if (absl::SimpleAtod(line.substr(blank + 1), &value)) sum += value;
  }
  return sum;
}

void TestServer::ExpectConsistentAtRest() {
  ASSERT_TRUE(WaitAtRest()) << server_->table().size() << " sessions are left, "
                            << server_->admission().stats().slots_used << " slots, calls "
                            << Metric("grpc_server_started_total") << " started, "
                            << Metric("grpc_server_handled_total") << " handled";
  const server::AdmissionStats admission = server_->admission().stats();
  EXPECT_EQ(admission.slots_used, 0u);
  EXPECT_EQ(admission.queued, 0u);
  EXPECT_EQ(admission.double_frees, 0u);
  for (const auto& model : server_->catalog().models()) {
    const model::EngineStats stats = model->engine->stats();
    EXPECT_EQ(stats.slots_used, 0u);
    EXPECT_EQ(stats.cache.pages_used, 0u);
    EXPECT_EQ(stats.cache.open_streams, 0u);
  }
  EXPECT_EQ(Metric("dragoman_streams"), 0);
  EXPECT_EQ(Metric("dragoman_slots_used"), 0);
  const auto same = [&](const char* family, const char* field) {
    EXPECT_EQ(Metric(family), static_cast<double>(logger_.Sum("session_end", field)))
        << family << " against the sum of " << field;
  };
  same("dragoman_source_words_total", "src_words");
  same("dragoman_source_tokens_total", "src_tokens");
  same("dragoman_target_words_total", "tgt_words");
  same("dragoman_target_tokens_total", "tgt_tokens");
  same("dragoman_segments_total", "segments");
  same("dragoman_events_total", "events");
  same("dragoman_forced_writes_total", "forced");
  same("dragoman_client_source_words_total", "src_words");
  EXPECT_EQ(Metric("dragoman_kv_pages", "state=\"reserved\""), 0);
  EXPECT_EQ(Metric("dragoman_leaked_slots_total"), 0);
  EXPECT_EQ(Metric("dragoman_stream_seconds_count"),
            static_cast<double>(logger_.lines("session_end").size()));
}

}  // namespace dragoman::testing
