#include "client/api/translate_stream.h"

#include <algorithm>
#include <deque>
#include <utility>

#include "base/check.h"
#include "base/mutex.h"
#include "base/strings.h"
#include "client/api/internal/grpc_status.h"
#include "client/api/invariant_checker.h"
#include "client/api/utf8_hold_back.h"
#include "grpcpp/grpcpp.h"
#include "proto/dragoman/v1/interpreter.grpc.pb.h"

namespace dragoman::client {
namespace {

constexpr size_t kPieceBytes = 4096;         // source is queued in pieces of at most this
constexpr size_t kControlMessageBytes = 16;  // what a flush or end_segment counts in the queue

// The longest prefix of well-formed `text` with at most `limit` bytes that ends at a code point.
// At least one code point, whatever the limit.
size_t CodePointPrefix(std::string_view text, size_t limit) {
  if (text.size() <= limit) return text.size();
  size_t end = limit;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return end > 0 ? end : std::max<size_t>(1, Utf8SequenceLength(text));
}

}  // namespace

class TranslateStream::Impl {
 public:
  Impl(std::shared_ptr<grpc::Channel> channel, const v1::StreamConfig& config,
       const StreamOptions& options, Clock* clock, RandomStream random)
      : options_(options),
        clock_(clock),
        config_(config),
        stub_(v1::Interpreter::NewStub(std::move(channel))),
        schedule_(options.retry, random),
        checker_(config) {
    MutexLock lock(&mu_);
    StartAttempt();
  }

  ~Impl() {
    Cancel();
    MutexLock lock(&mu_);
    changed_.wait(mu_, [this] { return attempt_ == nullptr; });
  }

  absl::Status SendText(std::string_view bytes) {
    MutexLock send_lock(&send_mu_);  // pieces of two senders never mix
    std::string whole = hold_back_.Push(bytes);
    std::string_view rest = whole;
    while (!rest.empty()) {
      const size_t size = CodePointPrefix(rest, kPieceBytes);
      v1::StreamRequest request;
      request.mutable_text()->set_text(std::string(rest.substr(0, size)));
      absl::Status status = Enqueue(std::move(request), size);
      if (!status.ok()) return status;
      rest.remove_prefix(size);
    }
    return absl::OkStatus();
  }

  absl::Status SendControl(v1::StreamRequest request) {
    MutexLock send_lock(&send_mu_);
    return Enqueue(std::move(request), kControlMessageBytes);
  }

  absl::Status Heartbeat() {
    MutexLock lock(&mu_);
    if (absl::Status status = SendingAllowed(); !status.ok()) return status;
    heartbeat_pending_ = true;
    MaybeWrite();
    return absl::OkStatus();
  }

  absl::Status Ack(uint32_t seq) {
    MutexLock lock(&mu_);
    if (absl::Status status = SendingAllowed(); !status.ok()) return status;
    pending_ack_ = std::max(pending_ack_, seq);
    MaybeWrite();
    return absl::OkStatus();
  }

  void HalfClose() {
    MutexLock send_lock(&send_mu_);
    const std::string tail = hold_back_.Finish();
    MutexLock lock(&mu_);
    if (half_close_asked_) return;
    if (!tail.empty() && SendingAllowed().ok()) {
      v1::StreamRequest request;
      request.mutable_text()->set_text(tail);
      Append(std::move(request), tail.size());
    }
    half_close_asked_ = true;
    MaybeWrite();
    changed_.notify_all();
  }

  void Cancel() {
    MutexLock lock(&mu_);
    if (over_) return;
    end_.cancelled_by_us = true;
    CancelAttempt();
  }

  std::optional<v1::StreamEvent> Next();

  const StreamEnd& end() const {
    MutexLock lock(&mu_);
    DRAGOMAN_CHECK_MSG(over_, "end() before Next() returned the end");
    return end_;
  }

 private:
  // One call. Owns itself: gRPC holds it until OnDone, the only place that deletes it. All its
  // state is in Impl under mu_, and Impl waits for OnDone, so Impl outlives it.
  //
  // A hold is taken at the start, because writes and reads are also started by senders and by
  // Next(). It goes when a read has failed: reads fail only when the call is over, and
  // from then on nothing is started.
  class Attempt final : public grpc::ClientBidiReactor<v1::StreamRequest, v1::StreamEvent> {
   public:
    explicit Attempt(Impl* impl) : impl_(impl) {}
    void OnWriteDone(bool ok) override { impl_->OnWriteDone(ok); }
    void OnReadDone(bool ok) override {
      if (!impl_->OnReadDone(ok)) RemoveHold();
    }
    void OnDone(const grpc::Status& status) override {
      impl_->OnDone(DecodeGrpcStatus(status, *context));
      delete this;
    }

    std::unique_ptr<grpc::ClientContext> context = std::make_unique<grpc::ClientContext>();
    v1::StreamRequest outgoing;
    v1::StreamEvent incoming;

   private:
    Impl* const impl_;
  };

  void StartAttempt() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void CancelAttempt() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void MaybeWrite() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void MaybeRead() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool TakeNextRequest(v1::StreamRequest* out) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status SendingAllowed() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status Enqueue(v1::StreamRequest request, size_t size);
  void Append(v1::StreamRequest request, size_t size) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool WaitForNextTry() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Finish() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void OnWriteDone(bool ok);
  bool OnReadDone(bool ok);  // false: the call is over
  void OnDone(CallStatus status);

  const StreamOptions options_;
  Clock* const clock_;
  const v1::StreamConfig config_;
  const std::unique_ptr<v1::Interpreter::Stub> stub_;

  Mutex send_mu_;  // taken before mu_; held over a whole send
  Utf8HoldBack hold_back_ ABSL_GUARDED_BY(send_mu_);

  mutable Mutex mu_;
  CondVar changed_;  // any change that Next(), a sender or the destructor waits for
  RetrySchedule schedule_ ABSL_GUARDED_BY(mu_);
  InvariantChecker checker_ ABSL_GUARDED_BY(mu_);

  // The call in progress.
  Attempt* attempt_ ABSL_GUARDED_BY(mu_) = nullptr;
  bool call_open_ ABSL_GUARDED_BY(mu_) = false;  // reads and writes may be started
  bool write_broken_ ABSL_GUARDED_BY(mu_) = false;
  bool write_in_flight_ ABSL_GUARDED_BY(mu_) = false;
  bool read_in_flight_ ABSL_GUARDED_BY(mu_) = false;
  bool writes_done_ ABSL_GUARDED_BY(mu_) = false;
  bool server_started_ ABSL_GUARDED_BY(mu_) = false;  // SessionStarted arrived: source may flow
  bool any_event_ ABSL_GUARDED_BY(mu_) = false;       // the call is committed: no retry any more
  std::optional<CallStatus> call_status_ ABSL_GUARDED_BY(mu_);
  // The context of the last finished call. It holds the channel, and the last owner of a channel
  // joins gRPC's callback threads: that must be one of the caller's threads, never such a thread.
  std::unique_ptr<grpc::ClientContext> done_context_ ABSL_GUARDED_BY(mu_);

  // Towards the server.
  std::deque<v1::StreamRequest> queue_ ABSL_GUARDED_BY(mu_);
  size_t queued_bytes_ ABSL_GUARDED_BY(mu_) = 0;
  size_t chunk_limit_bytes_ ABSL_GUARDED_BY(mu_) = kPieceBytes;
  uint32_t pending_ack_ ABSL_GUARDED_BY(mu_) = 0;
  bool heartbeat_pending_ ABSL_GUARDED_BY(mu_) = false;
  bool half_close_asked_ ABSL_GUARDED_BY(mu_) = false;

  // Towards the caller.
  std::deque<v1::StreamEvent> inbox_ ABSL_GUARDED_BY(mu_);
  bool over_ ABSL_GUARDED_BY(mu_) = false;
  StreamEnd end_ ABSL_GUARDED_BY(mu_);
};

void TranslateStream::Impl::StartAttempt() {
  call_open_ = true;
  write_broken_ = false;
  writes_done_ = false;
  call_status_.reset();
  attempt_ = new Attempt(this);
  AddToken(options_.token, attempt_->context.get());
  stub_->async()->StreamTranslate(attempt_->context.get(), attempt_);
  attempt_->AddHold();
  *attempt_->outgoing.mutable_config() = config_;
  write_in_flight_ = true;
  attempt_->StartWrite(&attempt_->outgoing);
  MaybeRead();
  attempt_->StartCall();
}

void TranslateStream::Impl::CancelAttempt() {
  if (attempt_ != nullptr) {
    attempt_->context->TryCancel();
    // A paused reader would never learn of the end.
    if (call_open_ && !read_in_flight_) {
      read_in_flight_ = true;
      attempt_->StartRead(&attempt_->incoming);
    }
  }
  changed_.notify_all();
}

void TranslateStream::Impl::MaybeRead() {
  if (!call_open_ || read_in_flight_ || inbox_.size() >= options_.max_read_ahead_events) return;
  read_in_flight_ = true;
  attempt_->StartRead(&attempt_->incoming);
}

bool TranslateStream::Impl::TakeNextRequest(v1::StreamRequest* out) {
  out->Clear();
  if (pending_ack_ > 0) {
    out->mutable_ack()->set_seq(std::exchange(pending_ack_, 0));
    return true;
  }
  if (!queue_.empty()) {
    v1::StreamRequest& front = queue_.front();
    if (front.has_text() && front.text().text().size() > chunk_limit_bytes_) {
      std::string* rest = front.mutable_text()->mutable_text();
      const size_t size = CodePointPrefix(*rest, chunk_limit_bytes_);
      out->mutable_text()->set_text(rest->substr(0, size));
      rest->erase(0, size);
      queued_bytes_ -= size;
      return true;
    }
    queued_bytes_ -= front.has_text() ? front.text().text().size() : kControlMessageBytes;
    *out = std::move(front);
    queue_.pop_front();
    heartbeat_pending_ = false;  // any message resets the idle clock
    return true;
  }
  if (heartbeat_pending_) {
    heartbeat_pending_ = false;
    out->mutable_heartbeat();
    return true;
  }
  return false;
}

void TranslateStream::Impl::MaybeWrite() {
  if (!call_open_ || write_broken_ || write_in_flight_ || writes_done_ || !server_started_) return;
  if (TakeNextRequest(&attempt_->outgoing)) {
    write_in_flight_ = true;
    attempt_->StartWrite(&attempt_->outgoing);
    changed_.notify_all();
    return;
  }
  if (half_close_asked_) {
    writes_done_ = true;
    checker_.OnHalfClose();
    attempt_->StartWritesDone();
  }
}

absl::Status TranslateStream::Impl::SendingAllowed() const {
  if (half_close_asked_) return absl::FailedPreconditionError("the source was closed before");
  if (over_ || end_.cancelled_by_us || end_.broken_invariant || (call_status_ && any_event_)) {
    return absl::CancelledError("the session is over");
  }
  return absl::OkStatus();
}

absl::Status TranslateStream::Impl::Enqueue(v1::StreamRequest request, size_t size) {
  MutexLock lock(&mu_);
  changed_.wait(mu_, [this, size] {
    return queue_.empty() || queued_bytes_ + size <= options_.max_queued_bytes ||
           !SendingAllowed().ok();
  });
  if (absl::Status status = SendingAllowed(); !status.ok()) return status;
  Append(std::move(request), size);
  return absl::OkStatus();
}

void TranslateStream::Impl::Append(v1::StreamRequest request, size_t size) {
  switch (request.request_case()) {
    case v1::StreamRequest::kText:
      checker_.OnTextSent(size);
      break;
    case v1::StreamRequest::kFlush:
      checker_.OnFlushSent(request.flush().id());
      break;
    case v1::StreamRequest::kEndSegment:
      checker_.OnEndSegmentSent(request.end_segment().id());
      break;
    default:
      break;
  }
  queue_.push_back(std::move(request));
  queued_bytes_ += size;
  MaybeWrite();
}

void TranslateStream::Impl::OnWriteDone(bool ok) {
  MutexLock lock(&mu_);
  write_in_flight_ = false;
  // A failed write means that the call is over; the status comes by OnDone.
  if (!ok) write_broken_ = true;
  MaybeWrite();
  changed_.notify_all();
}

bool TranslateStream::Impl::OnReadDone(bool ok) {
  MutexLock lock(&mu_);
  read_in_flight_ = false;
  if (!ok) {
    call_open_ = false;
    return false;
  }
  any_event_ = true;
  if (end_.cancelled_by_us || end_.broken_invariant) {
    // Nobody wants this event; read on to the end of the call.
    read_in_flight_ = true;
    attempt_->StartRead(&attempt_->incoming);
    return true;
  }
  if (attempt_->incoming.has_started() && !server_started_) {
    server_started_ = true;
    const uint32_t limit = attempt_->incoming.started().limits().text_chunk_bytes();
    if (limit > 0) chunk_limit_bytes_ = std::min<size_t>(kPieceBytes, limit);
    MaybeWrite();
  }
  inbox_.push_back(std::move(attempt_->incoming));
  attempt_->incoming.Clear();
  MaybeRead();
  changed_.notify_all();
  return true;
}

void TranslateStream::Impl::OnDone(CallStatus status) {
  MutexLock lock(&mu_);
  done_context_ = std::move(attempt_->context);
  attempt_ = nullptr;
  call_open_ = false;
  write_in_flight_ = false;
  call_status_ = std::move(status);
  changed_.notify_all();
}

bool TranslateStream::Impl::WaitForNextTry() {
  if (any_event_ || end_.cancelled_by_us) return false;
  const std::optional<std::chrono::milliseconds> wait = schedule_.NextWait(*call_status_);
  if (!wait) return false;
  const bool cancelled = clock_->WaitUntil(&mu_, &changed_, clock_->Now() + *wait,
                                           [this] { return end_.cancelled_by_us; });
  return !cancelled;
}

void TranslateStream::Impl::Finish() {
  end_.status = *call_status_;
  end_.started = checker_.started();
  if (!end_.broken_invariant && !end_.cancelled_by_us) {
    const absl::Status check = checker_.OnEnd(end_.status);
    if (!check.ok()) end_.broken_invariant = std::string(check.message());
  }
  over_ = true;
  changed_.notify_all();
}

std::optional<v1::StreamEvent> TranslateStream::Impl::Next() {
  MutexLock lock(&mu_);
  while (true) {
    if (over_) return std::nullopt;
    changed_.wait(mu_, [this] { return !inbox_.empty() || call_status_.has_value(); });
    if (!inbox_.empty()) {
      v1::StreamEvent event = std::move(inbox_.front());
      inbox_.pop_front();
      if (end_.broken_invariant) continue;
      const absl::Status check = checker_.OnEvent(event);
      if (!check.ok()) {
        end_.broken_invariant = std::string(check.message());
        CancelAttempt();
        continue;
      }
      MaybeRead();
      return event;
    }
    if (WaitForNextTry()) {
      ++end_.tries;
      StartAttempt();
      continue;
    }
    Finish();
  }
}

TranslateStream::TranslateStream(std::shared_ptr<grpc::Channel> channel,
                                 const v1::StreamConfig& config, const StreamOptions& options,
                                 Clock* clock, RandomStream random)
    : impl_(std::make_unique<Impl>(std::move(channel), config, options, clock, random)) {}

TranslateStream::~TranslateStream() = default;

absl::Status TranslateStream::SendText(std::string_view bytes) { return impl_->SendText(bytes); }

absl::Status TranslateStream::Flush(uint32_t id) {
  v1::StreamRequest request;
  request.mutable_flush()->set_id(id);
  return impl_->SendControl(std::move(request));
}

absl::Status TranslateStream::EndSegment(uint32_t id) {
  if (id == 0) return absl::InvalidArgumentError("the id of an end_segment is not 0");
  v1::StreamRequest request;
  request.mutable_end_segment()->set_id(id);
  return impl_->SendControl(std::move(request));
}

absl::Status TranslateStream::Heartbeat() { return impl_->Heartbeat(); }
absl::Status TranslateStream::Ack(uint32_t seq) { return impl_->Ack(seq); }
void TranslateStream::HalfClose() { impl_->HalfClose(); }
void TranslateStream::Cancel() { impl_->Cancel(); }
std::optional<v1::StreamEvent> TranslateStream::Next() { return impl_->Next(); }
const StreamEnd& TranslateStream::end() const { return impl_->end(); }

}  // namespace dragoman::client
