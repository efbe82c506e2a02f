#include "server/rpc/stream_reactor.h"

#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "server/rpc/config_reader.h"
#include "server/rpc/event_conversion.h"
#include "server/rpc/message_codec.h"
#include "server/rpc/status_mapping.h"

namespace dragoman::server {
namespace {

constexpr char kMethod[] = "StreamTranslate";

const char* KindOf(const v1::StreamRequest& request) {
  switch (request.request_case()) {
    case v1::StreamRequest::kConfig:
      return "config";
    case v1::StreamRequest::kText:
      return "text";
    case v1::StreamRequest::kAudio:
      return "audio";
    case v1::StreamRequest::kFlush:
      return "flush";
    case v1::StreamRequest::kEndSegment:
      return "end_segment";
    case v1::StreamRequest::kAck:
      return "ack";
    case v1::StreamRequest::kHeartbeat:
      return "heartbeat";
    case v1::StreamRequest::REQUEST_NOT_SET:
      return "nothing";
  }
  return "nothing";
}

ServerError OrderError(uint32_t index, const char* got) {
  return {ErrorReason::kMessageOrder,
          "the first message is config, and only the first",
          {{"index", absl::StrCat(index)}, {"got", got}},
          {}};
}

ServerError MalformedError(uint32_t index) {
  return {ErrorReason::kMalformedMessage,
          "the message does not parse, has broken UTF-8 or says nothing",
          {{"index", absl::StrCat(index)}},
          {}};
}

}  // namespace

StreamReactor* StreamReactor::Start(grpc::CallbackServerContext* context, const RpcParts* parts) {
  std::shared_ptr<StreamReactor> reactor(new StreamReactor(context, parts));
  reactor->self_ = reactor;
  reactor->Begin();
  return reactor.get();
}

StreamReactor::StreamReactor(grpc::CallbackServerContext* context, const RpcParts* parts)
    : context_(context), parts_(parts), peer_(PeerOf(*context)) {}

void StreamReactor::Begin() {
  parts_->session.observer->OnRpcStarted(kMethod);
  auto caller = Authenticate(*parts_, *context_, Access::kTranslate);
  if (auto* error = std::get_if<ServerError>(&caller)) {
    Fail(nullptr, std::move(*error));
    return;
  }
  client_ = std::get<Client>(std::move(caller));
  if (parts_->admission->draining()) {
    Fail(nullptr, DrainingError(*parts_->admission));
    return;
  }
  parts_->session.delivery->CallAt(
      parts_->session.clock->Now() + std::chrono::seconds(parts_->limits.config_seconds),
      [weak = weak_from_this()] {
        if (const auto reactor = weak.lock()) reactor->OnConfigTimeout();
      });
  const MutexLock lock(&mu_);
  read_in_flight_ = true;
  StartRead(&read_buffer_);
}

void StreamReactor::OnConfigTimeout() {
  {
    const MutexLock lock(&mu_);
    if (messages_ > 0 || finished_) return;
  }
  Fail(nullptr, {ErrorReason::kConfigTimeout,
                 "no config came in time",
                 {{"seconds", absl::StrCat(parts_->limits.config_seconds)}},
                 {}});
}

void StreamReactor::FinishLocked(const std::optional<ServerError>& error) {
  if (finished_) return;
  finished_ = true;
  const grpc::Status status = ToGrpcStatus(error, context_);
  parts_->session.observer->OnRpcHandled(
      kMethod,
      std::string(absl::StatusCodeToString(static_cast<absl::StatusCode>(status.error_code()))));
  if (write_in_flight_) {
    // The reader may never take what is in the transport; then the call is reset.
    parts_->session.delivery->CallAt(
        parts_->session.clock->Now() + parts_->session_limits.write_stall,
        [weak = weak_from_this()] {
          if (const auto reactor = weak.lock()) reactor->CancelIfStuck();
        });
  }
  Finish(status);
}

void StreamReactor::CancelIfStuck() {
  const MutexLock lock(&mu_);
  if (!done_) context_->TryCancel();
}

void StreamReactor::Fail(const std::shared_ptr<Session>& session, ServerError error) {
  if (session != nullptr) {
    session->Close(EndReason::kBadRequest, std::move(error));  // wakes us
    return;
  }
  {
    const MutexLock lock(&mu_);
    if (finished_ || refused_ || session_ != nullptr) return;
    refused_ = true;
  }
  ReportRefusal(*parts_, kMethod, peer_, error);  // before the client can see the status
  const MutexLock lock(&mu_);
  FinishLocked(error);
}

void StreamReactor::Wake() {
  const MutexLock lock(&mu_);
  if (finished_ || session_ == nullptr) return;
  SessionOutput output = session_->TakeOutput(/*may_write=*/!write_in_flight_);
  switch (output.kind) {
    case SessionOutput::Kind::kEvent:
      write_buffer_ = SerializeMessage(ToMessage(output.event, parts_->limits, session_->model()));
      write_in_flight_ = true;
      StartWrite(&write_buffer_);
      break;
    case SessionOutput::Kind::kFinish:
      FinishLocked(output.error);
      return;
    case SessionOutput::Kind::kNothing:
      break;
  }
  if (!read_in_flight_ && !half_closed_ && !cancelled_ && session_->MayRead()) {
    read_in_flight_ = true;
    StartRead(&read_buffer_);
  }
}

void StreamReactor::OnWriteDone(bool ok) {
  std::shared_ptr<Session> session;
  size_t bytes = 0;
  {
    const MutexLock lock(&mu_);
    bytes = write_buffer_.Length();
    write_buffer_.Clear();
    session = session_;
  }
  // The session first: a wake-up between the two would start the next write, and the session would
  // take the end of this one for the end of that one.
  session->OnWriteDone(ok, bytes);
  {
    const MutexLock lock(&mu_);
    write_in_flight_ = false;
  }
  Wake();
}

void StreamReactor::OnReadDone(bool ok) {
  grpc::ByteBuffer bytes;
  std::shared_ptr<Session> session;
  uint32_t index = 0;
  {
    const MutexLock lock(&mu_);
    if (finished_ || cancelled_) return;
    session = session_;
    // The read counts as in flight until its message was handled, or a wake-up could start the next
    // one beside it and messages would overtake each other.
    if (ok) {
      index = ++messages_;
      bytes.Swap(&read_buffer_);
    } else {
      half_closed_ = true;
    }
  }
  if (!ok) {
    OnHalfClose(session);
    return;
  }
  v1::StreamRequest request;
  if (!ParseMessage(bytes, &request) ||
      request.request_case() == v1::StreamRequest::REQUEST_NOT_SET) {
    Fail(session, MalformedError(index));
    return;
  }
  parts_->session.observer->OnMessage(KindOf(request),
                                      request.has_text() ? request.text().text().size() : 0);
  OnMessage(session, request, index);
  {
    const MutexLock lock(&mu_);
    read_in_flight_ = false;
  }
  Wake();
}

void StreamReactor::OnHalfClose(const std::shared_ptr<Session>& session) {
  if (context_->IsCancelled()) return;  // OnCancel comes
  if (session != nullptr) {
    session->HalfClose();  // wakes us
  } else {
    Fail(nullptr, OrderError(1, "half_close"));
  }
}

void StreamReactor::OnMessage(const std::shared_ptr<Session>& session,
                              const v1::StreamRequest& request, uint32_t index) {
  if ((session == nullptr) != request.has_config()) {
    Fail(session, OrderError(index, KindOf(request)));
    return;
  }
  if (request.has_config()) {
    if (!request.GetReflection()->GetUnknownFields(request).empty()) {
      Fail(session, {ErrorReason::kUnknownOption,
                     "the message has an unknown field beside config",
                     {{"field", *FindUnknown(request)}},
                     {}});
      return;
    }
    StartSession(request.config());
    return;
  }
  if (auto field = FindUnknown(request)) {
    Fail(session, {ErrorReason::kUnknownOption,
                   absl::StrCat(*field, " is not known"),
                   {{"field", *field}},
                   {}});
    return;
  }
  switch (request.request_case()) {
    case v1::StreamRequest::kText: {
      const std::string& text = request.text().text();
      if (text.size() > parts_->limits.text_chunk_bytes) {
        Fail(session, {ErrorReason::kChunkTooLarge,
                       "the text chunk is over its limit",
                       {{"limit", absl::StrCat(parts_->limits.text_chunk_bytes)},
                        {"got", absl::StrCat(text.size())}},
                       {}});
        return;
      }
      session->AppendText(text);
      return;
    }
    case v1::StreamRequest::kAudio:
      Fail(session, {ErrorReason::kInputKindMismatch, "audio on a text stream", {}, {}});
      return;
    case v1::StreamRequest::kFlush:
      session->Flush(request.flush().id());
      return;
    case v1::StreamRequest::kEndSegment:
      session->EndSegment(request.end_segment().id());
      return;
    case v1::StreamRequest::kAck:
      session->Ack(request.ack().seq());
      return;
    case v1::StreamRequest::kHeartbeat:
      session->Heartbeat();
      return;
    case v1::StreamRequest::kConfig:
    case v1::StreamRequest::REQUEST_NOT_SET:
      return;  // handled by the callers
  }
}

void StreamReactor::StartSession(const v1::StreamConfig& config) {
  const TimePoint now = parts_->session.clock->Now();
  auto checked = ReadStreamConfig(config, *parts_->catalog, parts_->limits);
  if (auto* error = std::get_if<ServerError>(&checked)) {
    Fail(nullptr, std::move(*error));
    return;
  }
  auto share = TakeShare(*parts_, client_, peer_);
  if (auto* error = std::get_if<ServerError>(&share)) {
    Fail(nullptr, std::move(*error));
    return;
  }
  {
    const MutexLock lock(&mu_);
    if (finished_ || cancelled_) return;  // reported where that happened
    starting_ = true;                     // from here on the end of the session is the report
  }
  auto& [session_config, model] = std::get<CheckedConfig>(checked);
  std::shared_ptr<Session> session(
      new Session(SessionIdentity{NewSessionId(), peer_, kMethod, now, client_.name,
                                  client_.credential, TraceOf(*context_)},
                  session_config, model, parts_->session_limits, parts_->session, weak_from_this(),
                  std::get<std::unique_ptr<ClientShare>>(std::move(share))));
  parts_->table->Add(session);
  bool gone = false;
  {
    const MutexLock lock(&mu_);
    gone = finished_ || cancelled_;
    if (!gone) session_ = session;
  }
  if (gone) {
    session->Cancel();
    return;
  }
  AdmitSession(*parts_, session, *session_config, *context_);
}

void StreamReactor::OnCancel() {
  std::shared_ptr<Session> session;
  bool report = false;
  {
    const MutexLock lock(&mu_);
    cancelled_ = true;
    session = session_;
    report = session == nullptr && !finished_ && !refused_ && !starting_;
    refused_ = refused_ || report;
  }
  // The session first: its slot is worth more than our status, which nobody will read.
  const ServerError error{ErrorReason::kCancelled, "cancelled", {}, {}};
  if (session != nullptr) session->Cancel();
  if (report) ReportRefusal(*parts_, kMethod, peer_, error);
  const MutexLock lock(&mu_);
  FinishLocked(error);
}

void StreamReactor::OnDone() {
  std::shared_ptr<StreamReactor> self;  // dies at the end of this function, outside the lock
  const MutexLock lock(&mu_);
  done_ = true;
  self = std::move(self_);
}

}  // namespace dragoman::server
