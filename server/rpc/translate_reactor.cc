#include "server/rpc/translate_reactor.h"

#include <algorithm>
#include <string_view>
#include <utility>
#include <variant>

#include "base/strings.h"
#include "model/tokenizer/unicode_text.h"
#include "server/rpc/caller.h"
#include "server/rpc/config_reader.h"
#include "server/rpc/event_conversion.h"
#include "server/rpc/message_codec.h"
#include "server/rpc/status_mapping.h"

namespace dragoman::server {
namespace {

constexpr char kMethod[] = "Translate";

// Bytes of white space at the start of `text`.
size_t WhiteSpaceLength(std::string_view text) {
  size_t total = 0;
  while (total < text.size()) {
    const std::string_view rest = text.substr(total);
    const size_t length = Utf8SequenceLength(rest);
    if (length == 0 || !model::IsUnicodeWhiteSpace(DecodeUtf8(rest, length))) break;
    total += length;
  }
  return total;
}

}  // namespace

void FillSegments(const std::string& source, const std::vector<FinalEvent>& finals,
                  v1::TranslateResponse* response) {
  const std::string_view all = source;
  size_t begin = WhiteSpaceLength(all);
  for (const FinalEvent& final_event : finals) {
    const size_t end = std::clamp<size_t>(final_event.source_end.bytes, begin, all.size());
    const size_t blank = WhiteSpaceLength(all.substr(end));
    v1::SegmentPair& pair = *response->add_segments();
    pair.set_source_begin(static_cast<uint32_t>(begin));
    pair.set_source_end(static_cast<uint32_t>(end));
    pair.set_target(final_event.text);
    pair.set_separator(std::string(all.substr(end, blank)));
    *response->mutable_text() += pair.target();
    *response->mutable_text() += pair.separator();
    begin = end + blank;
  }
}

TranslateReactor* TranslateReactor::Start(grpc::CallbackServerContext* context,
                                          const RpcParts* parts, const grpc::ByteBuffer& request,
                                          grpc::ByteBuffer* response) {
  std::shared_ptr<TranslateReactor> reactor(new TranslateReactor(context, parts, response));
  reactor->self_ = reactor;
  reactor->Begin(request);
  return reactor.get();
}

TranslateReactor::TranslateReactor(grpc::CallbackServerContext* context, const RpcParts* parts,
                                   grpc::ByteBuffer* response)
    : context_(context),
      parts_(parts),
      peer_(PeerOf(*context)),
      begin_(parts->session.clock->Now()),
      response_(response) {}

void TranslateReactor::Begin(const grpc::ByteBuffer& bytes) {
  parts_->session.observer->OnRpcStarted(kMethod);
  const auto caller = Authenticate(*parts_, *context_, Access::kTranslate);
  if (const auto* error = std::get_if<ServerError>(&caller)) {
    Refuse(*error);
    return;
  }
  const auto& client = std::get<Client>(caller);
  if (parts_->admission->draining()) {
    Refuse(DrainingError(*parts_->admission));
    return;
  }
  v1::TranslateRequest request;
  if (!ParseMessage(bytes, &request)) {
    Refuse({ErrorReason::kMalformedMessage,
            "the message does not parse or has broken UTF-8",
            {{"index", "1"}},
            {}});
    return;
  }
  parts_->session.observer->OnMessage("translate", request.text().size());
  auto checked = ReadTranslateRequest(request, *parts_->catalog, parts_->limits);
  if (const auto* error = std::get_if<ServerError>(&checked)) {
    Refuse(*error);
    return;
  }
  auto share = TakeShare(*parts_, client, peer_);
  if (const auto* error = std::get_if<ServerError>(&share)) {
    Refuse(*error);
    return;
  }
  auto& [config, model] = std::get<CheckedConfig>(checked);
  // The whole text is one chunk for the session; its size was checked above.
  std::shared_ptr<Session> session(
      new Session(SessionIdentity{NewSessionId(), peer_, kMethod, begin_, client.name,
                                  client.credential, TraceOf(*context_)},
                  config, model, parts_->session_limits, parts_->session, weak_from_this(),
                  std::get<std::unique_ptr<ClientShare>>(std::move(share))));
  parts_->table->Add(session);
  {
    const MutexLock lock(&mu_);
    session_ = session;
    model_ = model->name;
    text_ = std::move(*request.mutable_text());
    answer_.mutable_model()->set_name(model->name);
    answer_.mutable_model()->set_digest(model->digest);
  }
  AdmitSession(*parts_, session, *config, *context_);
}

void TranslateReactor::Take(const SessionEvent& event) {
  if (const auto* final_event = std::get_if<FinalEvent>(&event.body)) {
    finals_.push_back(*final_event);
  } else if (const auto* ended = std::get_if<EndedEvent>(&event.body)) {
    *answer_.mutable_usage() = ToMessage(ended->usage);
  }
}

void TranslateReactor::Wake() {
  std::shared_ptr<Session> session;
  std::string text;
  {
    const MutexLock lock(&mu_);
    while (!finished_ && session_ != nullptr) {
      const SessionOutput output = session_->TakeOutput();
      if (output.kind == SessionOutput::Kind::kNothing) break;
      if (output.kind == SessionOutput::Kind::kFinish) {
        FinishLocked(output.error);
        return;
      }
      Take(output.event);
      session_->OnWriteDone(true, 0);
      if (std::holds_alternative<StartedEvent>(output.event.body) && !sent_) {
        sent_ = true;
        session = session_;
        text = text_;
      }
    }
  }
  if (session != nullptr) {
    session->AppendText(text);
    session->HalfClose();
  }
}

void TranslateReactor::FinishLocked(const std::optional<ServerError>& error) {
  if (finished_) return;
  finished_ = true;
  if (!error.has_value()) {
    FillSegments(text_, finals_, &answer_);
    *response_ = SerializeMessage(answer_);
  }
  const grpc::Status status = ToGrpcStatus(error, context_);
  const std::string code =
      std::string(absl::StatusCodeToString(static_cast<absl::StatusCode>(status.error_code())));
  parts_->session.observer->OnRpcHandled(kMethod, code);
  if (!model_.empty()) {
    parts_->session.observer->OnUnary(model_, code, parts_->session.clock->Now() - begin_);
  }
  Finish(status);
}

void TranslateReactor::Refuse(const ServerError& error) {
  ReportRefusal(*parts_, kMethod, peer_, error);
  const MutexLock lock(&mu_);
  FinishLocked(error);
}

void TranslateReactor::OnCancel() {
  std::shared_ptr<Session> session;
  {
    const MutexLock lock(&mu_);
    session = session_;
  }
  if (session != nullptr) session->Cancel();
  const MutexLock lock(&mu_);
  FinishLocked(ServerError{ErrorReason::kCancelled, "cancelled", {}, {}});
}

void TranslateReactor::OnDone() {
  std::shared_ptr<TranslateReactor> self;  // dies at the end of this function, outside the lock
  const MutexLock lock(&mu_);
  self = std::move(self_);
}

}  // namespace dragoman::server
