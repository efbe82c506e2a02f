#include "client/api/resuming_stream.h"

#include <deque>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/mutex.h"
#include "client/api/event_joiner.h"
#include "client/api/source_log.h"
#include "client/api/utf8_hold_back.h"

namespace dragoman::client {
namespace {

// A server that takes sessions and loses them all is not asked for ever.
constexpr int kMaxBarrenSessions = 12;

// Whether a session that ended so may be followed by another one. `first_fault`: no fault has been
// seen at this place of the source before.
bool MayResume(const StreamEnd& end, bool first_fault) {
  if (end.cancelled_by_us || end.broken_invariant) return false;
  const std::string& reason = end.status.reason;
  switch (end.status.code) {
    case absl::StatusCode::kUnavailable:
      return true;
    case absl::StatusCode::kOutOfRange:
      return reason == "DURATION_LIMIT";
    case absl::StatusCode::kDeadlineExceeded:
      return reason == "CONFIG_TIMEOUT";  // of a session that was to follow
    case absl::StatusCode::kInternal:
    case absl::StatusCode::kUnknown:
      // Without a reason the transport broke.
      return reason.empty() || first_fault;
    default:
      return false;
  }
}

}  // namespace

class ResumingStream::Impl {
 public:
  Impl(Opener open, const ResumeOptions& options, Clock* clock)
      : open_(std::move(open)), options_(options), clock_(clock) {
    current_ = open_();
    DRAGOMAN_CHECK_MSG(current_ != nullptr, "the first session has to open");
    joiner_.BeginSession();
    pump_ = std::thread([this] { Pump(); });
  }

  ~Impl() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    Cancel();
    {
      const MutexLock lock(&mu_);
      stopping_ = true;
      changed_.notify_all();
    }
    CancelMove();
    current_->Cancel();  // also one that is over: nobody waits for it
    pump_.join();
    JoinMove();
    for (Leaving& leaving : leaving_) {
      leaving.stream->Cancel();
      leaving.reader.join();
      leaving.closer.join();
    }
  }

  absl::Status SendText(std::string_view bytes) {
    const MutexLock send_lock(&send_mu_);
    const std::string text = hold_back_.Push(bytes);
    if (text.empty()) return absl::OkStatus();
    return Append([&]() ABSL_NO_THREAD_SAFETY_ANALYSIS { log_.AppendText(text); });
  }
  absl::Status Flush(uint32_t id) {
    const MutexLock send_lock(&send_mu_);
    return Append([&]() ABSL_NO_THREAD_SAFETY_ANALYSIS { log_.AppendFlush(id); });
  }
  absl::Status EndSegment(uint32_t id) {
    if (id == 0) return absl::InvalidArgumentError("the id of an end_segment is not 0");
    const MutexLock send_lock(&send_mu_);
    return Append([&]() ABSL_NO_THREAD_SAFETY_ANALYSIS { log_.AppendEndSegment(id); });
  }

  absl::Status Heartbeat() {
    std::shared_ptr<TranslateStream> current, next;
    {
      const MutexLock lock(&mu_);
      if (over_ || cancelled_) return absl::CancelledError("the session is over");
      current = current_;
      next = move_.stream;
    }
    // A session that is about to be replaced takes none, and needs none.
    static_cast<void>(current->Heartbeat());
    if (next != nullptr) static_cast<void>(next->Heartbeat());
    return absl::OkStatus();
  }

  void HalfClose() {
    const MutexLock send_lock(&send_mu_);
    const std::string tail = hold_back_.Finish();
    const MutexLock lock(&mu_);
    if (half_close_asked_) return;
    if (!tail.empty()) log_.AppendText(tail);
    half_close_asked_ = true;
    changed_.notify_all();
  }

  void Cancel() {
    std::shared_ptr<TranslateStream> current, next;
    {
      const MutexLock lock(&mu_);
      if (over_) return;
      cancelled_ = true;
      current = current_;
      next = move_.stream;
      changed_.notify_all();
    }
    current->Cancel();
    if (next != nullptr) next->Cancel();
  }

  std::optional<v1::StreamEvent> Next();

  const StreamEnd& end() const {
    const MutexLock lock(&mu_);
    DRAGOMAN_CHECK_MSG(over_, "end() before Next() returned the end");
    return end_;
  }
  int resumes() const {
    const MutexLock lock(&mu_);
    return resumes_;
  }

 private:
  // A session on another replica that is being opened while the old one goes on.
  struct Move {
    std::shared_ptr<TranslateStream> stream;
    std::thread thread;                      // in Next() of the stream until it has started
    std::optional<v1::StreamEvent> started;  // set: ready
    bool failed = false;
  };

  // A session that was replaced and says its last words.
  struct Leaving {
    std::shared_ptr<TranslateStream> stream;
    std::thread reader;
    std::thread closer;
  };

  template <typename Function>
  absl::Status Append(const Function& append);
  void CancelMove() {
    const MutexLock lock(&mu_);
    if (move_.stream != nullptr) move_.stream->Cancel();
  }
  void Pump();
  absl::Status Send(TranslateStream* stream, const std::optional<SourceLog::Entry>& entry);

  // Thread of Next().
  std::optional<v1::StreamEvent> Take(v1::StreamEvent event);
  bool HoldBack(const v1::StreamEvent& event);
  bool Resume(const StreamEnd& end);
  void Replace(std::shared_ptr<TranslateStream> next);
  void BeginMove();
  void JoinMove();
  bool MoveIsReady();
  void SwitchToMoved();

  const Opener open_;
  const ResumeOptions options_;
  Clock* const clock_;

  Mutex send_mu_;  // taken before mu_; held over a whole send
  Utf8HoldBack hold_back_ ABSL_GUARDED_BY(send_mu_);

  mutable Mutex mu_;
  CondVar changed_;
  SourceLog log_ ABSL_GUARDED_BY(mu_);
  std::shared_ptr<TranslateStream> current_ ABSL_GUARDED_BY(mu_);  // replaced by Next() only
  uint64_t generation_ ABSL_GUARDED_BY(mu_) = 0;
  bool half_close_asked_ ABSL_GUARDED_BY(mu_) = false;
  bool half_close_sent_ ABSL_GUARDED_BY(mu_) = false;  // to the current session
  bool cancelled_ ABSL_GUARDED_BY(mu_) = false;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  bool over_ ABSL_GUARDED_BY(mu_) = false;
  StreamEnd end_ ABSL_GUARDED_BY(mu_);
  int resumes_ ABSL_GUARDED_BY(mu_) = 0;
  Move move_ ABSL_GUARDED_BY(mu_);  // `thread` is the thread of Next()'s

  // Thread of Next() only.
  EventJoiner joiner_;
  bool draining_ = false;  // the current replica has said so
  bool ever_started_ = false;
  std::deque<v1::StreamEvent> held_;   // void once another session has started
  EventJoiner held_joiner_;            // of the session of held_
  std::deque<v1::StreamEvent> ready_;  // to be given out before anything else
  std::optional<TimePoint> lost_;      // since when there is no session
  std::optional<uint64_t> fault_at_;   // source position of the last fault
  int barren_ = 0;                     // sessions in a row without a final
  std::vector<Leaving> leaving_;

  std::thread pump_;
};

template <typename Function>
absl::Status ResumingStream::Impl::Append(const Function& append) {
  const MutexLock lock(&mu_);
  const auto over = [this] { return over_ || cancelled_; };
  changed_.wait(mu_, [&] { return over() || log_.unsent_bytes() <= options_.max_queued_bytes; });
  if (over()) return absl::CancelledError("the session is over");
  if (half_close_asked_) return absl::FailedPreconditionError("the source was closed before");
  append();
  changed_.notify_all();
  return absl::OkStatus();
}

absl::Status ResumingStream::Impl::Send(TranslateStream* stream,
                                        const std::optional<SourceLog::Entry>& entry) {
  if (!entry.has_value()) {
    stream->HalfClose();
    return absl::OkStatus();
  }
  switch (entry->kind) {
    case SourceLog::Entry::Kind::kText:
      return stream->SendText(entry->text);
    case SourceLog::Entry::Kind::kFlush:
      return stream->Flush(entry->id);
    case SourceLog::Entry::Kind::kEndSegment:
      return stream->EndSegment(entry->id);
  }
  return absl::OkStatus();
}

void ResumingStream::Impl::Pump() {
  MutexLock lock(&mu_);
  while (true) {
    changed_.wait(mu_, [this] {
      return stopping_ || log_.Next() != nullptr || (half_close_asked_ && !half_close_sent_);
    });
    if (stopping_) return;
    std::optional<SourceLog::Entry> entry;  // nothing: the half-close
    if (log_.Next() != nullptr) entry = *log_.Next();
    const std::shared_ptr<TranslateStream> stream = current_;
    const uint64_t generation = generation_;
    // Counted before it is sent: its answer may come at once.
    if (entry.has_value()) {
      log_.Sent();
    } else {
      half_close_sent_ = true;
    }
    mu_.Unlock();
    const absl::Status status = Send(stream.get(), entry);
    mu_.Lock();
    changed_.notify_all();
    // A session that is over takes nothing; the next one gets it all from the log.
    if (!status.ok()) changed_.wait(mu_, [&] { return stopping_ || generation != generation_; });
  }
}

void ResumingStream::Impl::BeginMove() {
  {
    const MutexLock lock(&mu_);
    if (move_.stream != nullptr || cancelled_) return;
  }
  std::shared_ptr<TranslateStream> next = open_();
  if (next == nullptr) return;
  const MutexLock lock(&mu_);
  move_.stream = next;
  move_.started.reset();
  move_.failed = false;
  move_.thread = std::thread([this, next] {
    std::optional<v1::StreamEvent> event = next->Next();
    while (event.has_value() && !event->has_started()) event = next->Next();
    const MutexLock inner(&mu_);
    move_.failed = !event.has_value();
    move_.started = std::move(event);
  });
}

void ResumingStream::Impl::JoinMove() {
  std::thread thread;
  {
    const MutexLock lock(&mu_);
    thread = std::move(move_.thread);
  }
  if (thread.joinable()) thread.join();
}

bool ResumingStream::Impl::MoveIsReady() {
  bool failed = false;
  {
    const MutexLock lock(&mu_);
    if (move_.started.has_value()) return true;
    failed = move_.failed;
  }
  if (failed) {
    // Refused everywhere. Another try comes with the next final.
    JoinMove();
    const MutexLock lock(&mu_);
    move_ = Move();
  }
  return false;
}

void ResumingStream::Impl::Replace(std::shared_ptr<TranslateStream> next) {
  const MutexLock lock(&mu_);
  current_ = std::move(next);
  ++generation_;
  ++resumes_;
  log_.Rewind();
  half_close_sent_ = false;
  if (cancelled_) current_->Cancel();
  changed_.notify_all();
}

void ResumingStream::Impl::SwitchToMoved() {
  JoinMove();
  std::shared_ptr<TranslateStream> old;
  Move move;
  {
    const MutexLock lock(&mu_);
    old = current_;
    move = std::move(move_);
    move_ = Move();
  }
  draining_ = false;
  joiner_.BeginSession();
  held_.clear();
  ready_.push_back(joiner_.Join(*std::move(move.started)));
  Replace(std::move(move.stream));
  // Nobody listens to what it still says. Closing waits for a send in progress, which may need the
  // reader to go on.
  leaving_.push_back({old, std::thread([old] {
                        while (old->Next().has_value()) {
                        }
                      }),
                      std::thread([old] { old->HalfClose(); })});
}

// Events that only count when nothing follows this session.
bool ResumingStream::Impl::HoldBack(const v1::StreamEvent& event) {
  if (!options_.reconnect) return false;
  if (event.has_segment_final()) {
    return event.segment_final().reason() == v1::FINAL_SESSION_END;
  }
  return event.has_ended() && event.ended().reason() != v1::END_COMPLETE;
}

std::optional<v1::StreamEvent> ResumingStream::Impl::Take(v1::StreamEvent event) {
  if (HoldBack(event)) {
    if (held_.empty()) held_joiner_ = joiner_;
    held_.push_back(std::move(event));
    return std::nullopt;
  }
  const bool is_final = event.has_segment_final();
  if (event.has_started()) {
    ever_started_ = true;
    lost_.reset();
    held_.clear();
  }
  if (is_final) barren_ = 0;
  const bool drains = event.has_notice() && event.notice().code() == v1::NOTICE_DRAINING;
  {
    const MutexLock lock(&mu_);
    if (event.has_flush_done()) log_.Answer(event.flush_done().id());
    if (is_final && event.segment_final().client_id() != 0) {
      log_.Answer(event.segment_final().client_id());
    }
  }
  v1::StreamEvent out = joiner_.Join(std::move(event));
  bool nothing_open = false;
  {
    const MutexLock lock(&mu_);
    if (is_final) log_.Confirm(joiner_.final_bytes());
    nothing_open = !log_.open() && !half_close_asked_;
  }
  if (drains && options_.reconnect) draining_ = true;
  if (draining_) BeginMove();
  if (draining_ && (is_final || nothing_open) && MoveIsReady()) SwitchToMoved();
  return out;
}

// May be asked again about the same end; a "no" stays.
bool ResumingStream::Impl::Resume(const StreamEnd& end) {
  if (!options_.reconnect || !ever_started_) return false;
  uint64_t position = 0;
  {
    const MutexLock lock(&mu_);
    if (cancelled_ || log_.kept_bytes() > options_.max_kept_bytes) return false;
    position = log_.confirmed_bytes();
  }
  if (!MayResume(end, fault_at_ != position)) return false;
  if (end.status.code == absl::StatusCode::kInternal && !end.status.reason.empty()) {
    fault_at_ = position;
  }
  const TimePoint now = clock_->Now();
  if (!lost_.has_value()) lost_ = now;
  if (now - *lost_ > options_.give_up || ++barren_ > kMaxBarrenSessions) return false;
  JoinMove();  // one that is on its way is the fastest
  if (MoveIsReady()) {
    SwitchToMoved();
    lost_.reset();
    return true;
  }
  std::shared_ptr<TranslateStream> next = open_();
  if (next == nullptr) return false;
  draining_ = false;
  joiner_.BeginSession();
  Replace(std::move(next));
  return true;
}

std::optional<v1::StreamEvent> ResumingStream::Impl::Next() {
  while (true) {
    if (!ready_.empty()) {
      v1::StreamEvent event = std::move(ready_.front());
      ready_.pop_front();
      return event;
    }
    std::shared_ptr<TranslateStream> stream;
    {
      const MutexLock lock(&mu_);
      if (over_) return std::nullopt;
      stream = current_;
    }
    if (std::optional<v1::StreamEvent> event = stream->Next()) {
      if (auto out = Take(*std::move(event))) return out;
      continue;
    }
    if (Resume(stream->end())) continue;
    if (!held_.empty()) {
      joiner_ = held_joiner_;  // nothing has come out since, but a session may have been tried
      for (v1::StreamEvent& event : held_) ready_.push_back(joiner_.Join(std::move(event)));
      held_.clear();
      continue;
    }
    const MutexLock lock(&mu_);
    end_ = stream->end();
    end_.started = end_.started || ever_started_;
    end_.cancelled_by_us = end_.cancelled_by_us || cancelled_;
    over_ = true;
    changed_.notify_all();
  }
}

ResumingStream::ResumingStream(Opener open, const ResumeOptions& options, Clock* clock)
    : impl_(std::make_unique<Impl>(std::move(open), options, clock)) {}
ResumingStream::~ResumingStream() = default;

absl::Status ResumingStream::SendText(std::string_view bytes) { return impl_->SendText(bytes); }
absl::Status ResumingStream::Flush(uint32_t id) { return impl_->Flush(id); }
absl::Status ResumingStream::EndSegment(uint32_t id) { return impl_->EndSegment(id); }
absl::Status ResumingStream::Heartbeat() { return impl_->Heartbeat(); }
void ResumingStream::HalfClose() { impl_->HalfClose(); }
void ResumingStream::Cancel() { impl_->Cancel(); }
std::optional<v1::StreamEvent> ResumingStream::Next() { return impl_->Next(); }
const StreamEnd& ResumingStream::end() const { return impl_->end(); }
int ResumingStream::resumes() const { return impl_->resumes(); }

}  // namespace dragoman::client
