#include "tests/support/scripted_interpreter.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cctype>
#include <chrono>
#include <utility>

#include "proto/google/rpc/error.pb.h"

namespace dragoman::testing {
namespace {

bool IsBlank(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

uint32_t CountWords(const std::string& text) {
  uint32_t words = 0;
  bool in_word = false;
  for (const char c : text) {
    if (!IsBlank(c) && !in_word) ++words;
    in_word = !IsBlank(c);
  }
  return words;
}

}  // namespace

grpc::Status Refusal(grpc::StatusCode code, const std::string& reason,
                     const std::map<std::string, std::string>& metadata,
                     std::optional<int> retry_ms) {
  google::rpc::Status details;
  details.set_code(code);
  google::rpc::ErrorInfo error_info;
  error_info.set_domain("dragoman");
  error_info.set_reason(reason);
  error_info.mutable_metadata()->insert(metadata.begin(), metadata.end());
  details.add_details()->PackFrom(error_info);
  if (retry_ms) {
    google::rpc::RetryInfo retry_info;
    retry_info.mutable_retry_delay()->set_seconds(*retry_ms / 1000);
    retry_info.mutable_retry_delay()->set_nanos(*retry_ms % 1000 * 1000000);
    details.add_details()->PackFrom(retry_info);
  }
  return grpc::Status(code, "scripted refusal", details.SerializeAsString());
}

bool ScriptedSession::ReadConfig() {
  v1::StreamRequest request;
  if (!stream_->Read(&request) || !request.has_config()) return false;
  config_ = request.config();
  return true;
}

bool ScriptedSession::Read(v1::StreamRequest* request) {
  if (!stream_->Read(request)) {
    if (in_word_) ++received_words_;  // the end of the source closes the word
    in_word_ = false;
    return false;
  }
  for (const char c : request->text().text()) {
    if (IsBlank(c) && in_word_) ++received_words_;
    in_word_ = !IsBlank(c);
  }
  received_bytes_ += static_cast<uint32_t>(request->text().text().size());
  return true;
}

v1::SourcePosition ScriptedSession::Position(uint32_t bytes, uint32_t words) const {
  v1::SourcePosition position;
  position.set_bytes(bytes);
  position.set_words(words);
  return position;
}

void ScriptedSession::Send(v1::StreamEvent event) {
  event.set_seq(next_seq++);
  event.set_time_ms(event.seq() * 10);
  stream_->Write(event);
}

void ScriptedSession::SendStarted() {
  v1::StreamEvent event;
  v1::SessionStarted* started = event.mutable_started();
  started->set_session_id("00000000000000000000000000000001");
  started->mutable_model()->set_name("scripted");
  v1::Track* track = started->add_tracks();
  track->set_id(1);
  track->set_kind(v1::TRACK_TRANSLATION);
  track->set_language(config_.target_languages_size() > 0 ? config_.target_languages(0) : "");
  *started->mutable_effective() = config_;
  started->mutable_limits()->set_text_chunk_bytes(16384);
  started->mutable_limits()->set_idle_seconds(60);
  Send(event);
}

void ScriptedSession::SendStable(const std::string& text) {
  if (!segment_open_) {
    segment_open_ = true;
    ++segment_;
    text_.clear();
    open_final_.Clear();
  }
  v1::StreamEvent event;
  v1::TextDelta* delta = event.mutable_delta();
  delta->set_track(1);
  delta->set_segment(segment_);
  delta->set_stable_offset(static_cast<uint32_t>(text_.size()));
  delta->set_stable(text);
  *delta->mutable_read() = Position(received_bytes_, received_words_);
  text_ += text;
  if (config_.output().word_stamps() && !text.empty()) {
    v1::WordStamp stamp;
    stamp.set_begin(static_cast<uint32_t>(text_.size() - text.size() + (text[0] == ' ' ? 1 : 0)));
    stamp.set_end(static_cast<uint32_t>(text_.size()));
    stamp.set_read_words(received_words_);
    stamp.set_emit_ms(next_seq * 10);
    *delta->add_words() = stamp;
    *open_final_.add_words() = stamp;
  }
  Send(event);
}

v1::StreamEvent ScriptedSession::MakeFinal(v1::FinalReason reason, uint32_t client_id) {
  v1::StreamEvent event;
  v1::SegmentFinal* final = event.mutable_segment_final();
  *final = open_final_;
  final->set_track(1);
  final->set_segment(segment_);
  final->set_text(text_);
  final->set_reason(reason);
  final->set_client_id(client_id);
  *final->mutable_source_begin() = Position(segment_begin_bytes_, segment_begin_words_);
  *final->mutable_source_end() = Position(received_bytes_, received_words_);
  return event;
}

void ScriptedSession::SendFinal(v1::FinalReason reason, uint32_t client_id) {
  Send(MakeFinal(reason, client_id));
  target_words_ += CountWords(text_);
  segment_begin_bytes_ = received_bytes_;
  segment_begin_words_ = received_words_;
  segment_open_ = false;
}

void ScriptedSession::SendFlushDone(uint32_t id) {
  v1::StreamEvent event;
  event.mutable_flush_done()->set_id(id);
  Send(event);
}

v1::StreamEvent ScriptedSession::MakeEnded(v1::EndReason reason) {
  v1::StreamEvent event;
  v1::SessionEnded* ended = event.mutable_ended();
  ended->set_reason(reason);
  ended->mutable_usage()->set_events(next_seq);
  ended->mutable_usage()->set_segments(segment_);
  ended->mutable_usage()->set_source_words(segment_begin_words_);
  ended->mutable_usage()->set_target_words(target_words_);
  *ended->mutable_source_received() = Position(received_bytes_, received_words_);
  *ended->mutable_source_translated() = Position(received_bytes_, received_words_);
  return event;
}

void ScriptedSession::SendEnded(v1::EndReason reason) { Send(MakeEnded(reason)); }

grpc::Status UpperCaseSession(grpc::ServerContext* server_context, ServerStream* stream) {
  ScriptedSession session(server_context, stream);
  if (!session.ReadConfig()) {
    return Refusal(grpc::StatusCode::INVALID_ARGUMENT, "MESSAGE_ORDER");
  }
  session.SendStarted();
  const bool client_segments = session.config().segment_mode() == v1::SEGMENT_CLIENT;
  std::string word;
  const auto write_word = [&] {
    if (word.empty()) return;
    const bool sentence_end = word.back() == '.';
    for (char& c : word) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    session.SendStable(session.segment_open() ? " " + word : word);
    word.clear();
    if (sentence_end && !client_segments) session.SendFinal(v1::FINAL_BOUNDARY);
  };
  v1::StreamRequest request;
  while (session.Read(&request)) {
    for (const char c : request.text().text()) {
      if (IsBlank(c)) {
        write_word();
      } else {
        word.push_back(c);
      }
    }
    if (request.has_flush()) session.SendFlushDone(request.flush().id());
    if (request.has_end_segment()) {
      write_word();
      if (session.segment_open()) {
        session.SendFinal(v1::FINAL_CLIENT, request.end_segment().id());
      } else {
        session.SendFlushDone(request.end_segment().id());
      }
    }
  }
  if (session.client_gone()) return grpc::Status::CANCELLED;
  write_word();
  if (session.segment_open()) session.SendFinal(v1::FINAL_HALF_CLOSE);
  session.SendEnded(v1::END_COMPLETE);
  return grpc::Status::OK;
}

ScriptedInterpreter::ScriptedInterpreter(Script script) : script_(std::move(script)) {
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
  builder.RegisterService(this);
  server_ = builder.BuildAndStart();
}

ScriptedInterpreter::~ScriptedInterpreter() {
  server_->Shutdown(std::chrono::system_clock::now());
  server_->Wait();
}

grpc::Status ScriptedInterpreter::StreamTranslate(grpc::ServerContext* server_context,
                                                  ServerStream* stream) {
  return script_(server_context, stream);
}

grpc::Status ScriptedInterpreter::Translate(grpc::ServerContext* /*server_context*/,
                                            const v1::TranslateRequest* request,
                                            v1::TranslateResponse* response) {
  if (!unary_status.ok()) return unary_status;
  std::string text = request->text();
  for (char& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  response->set_text(text);
  return grpc::Status::OK;
}

grpc::Status ScriptedInterpreter::ListModels(grpc::ServerContext* /*server_context*/,
                                             const v1::ListModelsRequest* /*request*/,
                                             v1::ListModelsResponse* response) {
  if (!unary_status.ok()) return unary_status;
  v1::ModelInfo* model = response->add_models();
  model->mutable_ref()->set_name("scripted");
  model->mutable_ref()->set_digest("sha256:00");
  model->set_description("answers in upper case");
  model->set_license("Apache-2.0");
  model->set_is_default(true);
  model->set_parameters(5000000000);
  model->add_features("text");
  v1::LanguagePair* pair = model->add_pairs();
  pair->set_source_language("en");
  pair->set_target_language("de");
  return grpc::Status::OK;
}

grpc::Status ScriptedInterpreter::GetInfo(grpc::ServerContext* /*server_context*/,
                                          const v1::GetInfoRequest* /*request*/,
                                          v1::GetInfoResponse* response) {
  if (!unary_status.ok()) return unary_status;
  response->set_version("0.1.0");
  response->set_instance("scripted");
  response->set_uptime_s(7);
  response->set_contract_revision(1);
  return grpc::Status::OK;
}

std::string UnusedAddress() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  int port = 1;
  if (fd >= 0 && bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0 &&
      getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0) {
    port = ntohs(address.sin_port);
  }
  if (fd >= 0) close(fd);
  return "127.0.0.1:" + std::to_string(port);
}

}  // namespace dragoman::testing
