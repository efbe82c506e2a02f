#include "server/session/session.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/strings.h"
#include "model/policy/policy.h"
#include "model/routing/skip_dial.h"
#include "server/session/session_log.h"
#include "server/session/session_scope.h"

namespace dragoman::server {
namespace {

// Flushes and segment ends without an answer; above, the client is not read.
constexpr size_t kMaxPendingMarks = 1024;

model::StreamingEncoderOptions EncoderOptions(const SessionConfig& config) {
  model::StreamingEncoderOptions options;
  options.automatic_segments = !config.client_segments;
  options.newline_is_boundary = config.newline_is_boundary;
  return options;
}

// The kind of a policy without its numbers: "wait_k" of "wait-k:3".
std::string PolicyLabel(const std::string& policy) {
  std::string kind = policy.substr(0, policy.find(':'));
  std::replace(kind.begin(), kind.end(), '-', '_');
  return kind;
}

}  // namespace

Session::Session(SessionIdentity identity, std::shared_ptr<const SessionConfig> config,
                 std::shared_ptr<const ServedModel> model, const SessionLimits& limits,
                 const SessionParts& parts, std::weak_ptr<SessionTransport> transport,
                 std::unique_ptr<ClientShare> share)
    : identity_(std::move(identity)),
      config_(std::move(config)),
      model_(std::move(model)),
      limits_(limits),
      parts_(parts),
      transport_(std::move(transport)),
      labels_{model_->name, PolicyLabel(config_->policy), identity_.client},
      sink_(std::make_unique<EngineSink>(parts.delivery)),
      share_(std::move(share)),
      encoder_(model_->tokenizer.get(), config_->source_language, EncoderOptions(*config_)),
      writer_(model_->tokenizer.get(), static_cast<uint32_t>(2 * model_->num_layers)),
      outbox_(std::chrono::milliseconds(config_->min_event_interval_ms)) {
  last_client_ = last_event_ = identity_.config_time;
}

Session::~Session() = default;

uint32_t Session::TimeMs(TimePoint now) const {
  return static_cast<uint32_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(now - identity_.config_time).count());
}

SourcePosition Session::Received() const {
  return {static_cast<uint32_t>(encoder_.bytes_received()), ledger_.words(), source_tokens_};
}

// White space and the unfinished word do not count: they are not waiting for the engine.
size_t Session::PendingBytes() const {
  return ledger_.At(ledger_.words()).bytes - ledger_.At(encoded_words_).bytes;
}

bool Session::MayReadLocked() const {
  if (state_ != SessionState::kActive || half_closed_) return false;
  if (PendingBytes() + limits_.max_text_chunk_bytes > limits_.inbox_bytes) return false;
  // A client that does not take its events may still send acknowledgements, up to a point.
  if (pending_flushes_ + segment_ends_.size() > kMaxPendingMarks) return false;
  const size_t most = AckGateClosed() ? 4 * limits_.outbox_events : limits_.outbox_events;
  return outbox_.size() <= most;
}

bool Session::MayRead() {
  const Scope scope(this);
  return MayReadLocked();
}

bool Session::AckGateClosed() const {
  return config_->max_unacked_events > 0 && state_ == SessionState::kActive && !half_closed_ &&
         seq_ - acked_ >= config_->max_unacked_events;
}

void Session::Touch() {
  last_client_ = parts_.clock->Now();
  idle_noticed_ = false;
}

void Session::Push(EventBody body) {
  if (transport_done_ || abandoned_) return;
  outbox_.Push(std::move(body), parts_.clock->Now());
  wake_ = true;
  UpdatePause();
}

// ---------------------------------------------------------------- admission

void Session::OnAdmitted(std::unique_ptr<SlotLease> lease) {
  const Scope scope(this);
  if (state_ != SessionState::kWaiting && state_ != SessionState::kQueued) {
    // Ended in the meantime: the slot goes back outside the lock.
    deferred_.push_back([lease = std::shared_ptr<SlotLease>(std::move(lease))] {});
    return;
  }
  const TimePoint now = parts_.clock->Now();
  const Duration waited = now - identity_.config_time;
  queue_place_.reset();
  parts_.observer->OnQueueWait(model_->name, "admitted", waited);
  EndQueueSpan("admitted");
  usage_.queue_wait_ms =
      static_cast<uint32_t>(std::chrono::duration_cast<std::chrono::milliseconds>(waited).count());
  last_client_ = last_event_ = now;

  auto policy = model::ParsePolicy(config_->policy);
  const model::StreamLayout* layout =
      model_->Layout(config_->source_language, config_->target_language);
  absl::StatusOr<model::SequenceId> sequence =
      absl::InternalError("policy or layout was not checked");
  if (policy.ok() && layout != nullptr) {
    model::SequenceOptions options;
    options.layout = *layout;
    options.policy = *std::move(policy);
    options.report_partial_words = config_->unstable_tail;
    options.max_lag_words = config_->max_lag_words;
    options.routed = config_->theta > 0;
    if (options.routed) options.skip_offset = model::SkipOffsetOf(config_->theta);
    sink_->Bind(weak_from_this());
    sequence = model_->engine->Open(std::move(options), sink_.get());
  }
  if (!sequence.ok()) {
    // No slot in the engine although admission gave one, or a package that the engine refuses.
    parts_.logger->Error(
        "sequence_refused",
        {{"session_id", identity_.id}, {"status", std::string(sequence.status().ToString())}});
    deferred_.push_back([lease = std::shared_ptr<SlotLease>(std::move(lease))] {});
    outbox_.Clear();
    state_ = SessionState::kEnded;
    abandoned_ = true;
    error_ = ServerError{ErrorReason::kComputeFault, "the engine did not open the stream", {}, {}};
    wake_ = true;
    return;
  }
  sequence_ = *sequence;
  lease_ = std::move(lease);
  state_ = SessionState::kActive;
  StartedEvent started;
  started.session_id = identity_.id;
  started.model = model_->name;
  started.digest = model_->digest;
  started.slot = static_cast<uint32_t>(lease_->slot());
  started.queue_wait_ms = usage_.queue_wait_ms;
  started.effective = config_;
  Push(std::move(started));
  if (drain_end_.has_value()) TellOfDrain(*drain_end_ - now);
}

void Session::OnQueued(QueuePlace place) {
  const Scope scope(this);
  if (state_ != SessionState::kWaiting) {  // the outcome or a cancel was faster
    deferred_.push_back(std::move(place.leave));
    return;
  }
  state_ = SessionState::kQueued;
  queue_place_ = std::move(place);
  next_queue_event_ = parts_.clock->Now();
  CheckTimers(next_queue_event_);
}

void Session::LeaveQueue(std::string_view outcome) {
  if (!queue_place_.has_value()) return;
  deferred_.push_back(std::move(queue_place_->leave));
  queue_place_.reset();
  parts_.observer->OnQueueWait(model_->name, outcome, parts_.clock->Now() - identity_.config_time);
  EndQueueSpan(outcome);
}

void Session::Refuse(ServerError error) {
  const Scope scope(this);
  if (state_ != SessionState::kWaiting && state_ != SessionState::kQueued) return;
  const Duration waited = parts_.clock->Now() - identity_.config_time;
  queue_place_.reset();  // whoever refuses has taken it out of the queue
  const char* outcome = "drain";
  if (error.reason == ErrorReason::kQueueTimeout) outcome = "timeout";
  if (error.reason == ErrorReason::kNoCapacity) outcome = "full";
  parts_.observer->OnQueueWait(model_->name, outcome, waited);
  EndQueueSpan(outcome);
  outbox_.Clear();
  state_ = SessionState::kEnded;
  error_ = std::move(error);
  abandoned_ = true;
  wake_ = true;
}

// ---------------------------------------------------------------- source

void Session::CheckEngine(const absl::Status& status) {
  // NotFound: the sequence has ended and SequenceEnded is on its way.
  if (status.ok() || absl::IsNotFound(status)) return;
  parts_.logger->Error("engine_refused_source",
                       {{"session_id", identity_.id}, {"status", std::string(status.ToString())}});
  CloseLocked(EndReason::kFault,
              {ErrorReason::kComputeFault, "the engine did not take the source", {}, {}});
}

void Session::EndEngineSegment(std::optional<uint32_t> client_id) {
  segment_ends_[++last_segment_end_] = client_id;
  CheckEngine(model_->engine->EndSegment(*sequence_, last_segment_end_));
}

void Session::AppendWords(std::vector<model::EncodedWord> encoded) {
  if (encoded.empty()) return;
  const TimePoint now = parts_.clock->Now();
  if (!first_source_.has_value()) first_source_ = now;
  const uint32_t tokens_before = source_tokens_;
  std::vector<model::SourceWord> words;
  const auto send = [&] {
    if (words.empty()) return;
    CheckEngine(model_->engine->Append(*sequence_, std::exchange(words, {})));
  };
  for (model::EncodedWord& word : encoded) {
    if (word.cut_before) {
      send();
      EndEngineSegment(std::nullopt);
    }
    const auto num_tokens = static_cast<uint32_t>(word.tokens.size());
    ledger_.AddWord(word.byte_end, num_tokens, now);
    source_tokens_ += num_tokens;
    model::SegmentCut cut = model::SegmentCut::kNone;
    if (word.cut == model::WordCut::kBoundary) cut = model::SegmentCut::kBoundary;
    if (word.cut == model::WordCut::kLength) cut = model::SegmentCut::kLength;
    words.push_back({std::move(word.tokens), cut});
  }
  send();
  usage_.source_words = ledger_.words();
  usage_.source_tokens = source_tokens_;
  parts_.observer->OnSource(labels_, static_cast<uint32_t>(encoded.size()),
                            source_tokens_ - tokens_before);
  if (share_ == nullptr) return;
  if (auto error = share_->Charge(static_cast<uint32_t>(encoded.size()))) {
    CloseLocked(EndReason::kQuota, *std::move(error));
  }
}

void Session::AppendText(std::string_view text) {
  const Scope scope(this);
  if (state_ != SessionState::kActive) return;
  Touch();
  if (!text.empty() && !first_source_.has_value()) first_source_ = last_client_;
  std::vector<model::EncodedWord> words;
  encoder_.Push(text, &words);
  AppendWords(std::move(words));
  if (PendingBytes() + limits_.max_text_chunk_bytes > limits_.inbox_bytes &&
      !inbox_full_.has_value()) {
    inbox_full_ = last_client_;
  }
}

void Session::Flush(uint32_t id) {
  const Scope scope(this);
  if (state_ != SessionState::kActive) return;
  Touch();
  if (last_flush_.has_value() && id <= *last_flush_) {
    CloseLocked(EndReason::kBadRequest,
                {ErrorReason::kFlushOrder, "flush ids have to rise", {}, {}});
    return;
  }
  last_flush_ = id;
  std::vector<model::EncodedWord> words;
  encoder_.CompleteWord(&words);
  AppendWords(std::move(words));
  ++pending_flushes_;
  CheckEngine(model_->engine->Flush(*sequence_, id));
}

void Session::EndSegment(uint32_t id) {
  const Scope scope(this);
  if (state_ != SessionState::kActive) return;
  Touch();
  std::vector<model::EncodedWord> words;
  encoder_.CompleteWord(&words);
  encoder_.ResetSegment();
  AppendWords(std::move(words));
  EndEngineSegment(id);
}

void Session::Ack(uint32_t seq) {
  const Scope scope(this);
  if (state_ != SessionState::kActive) return;
  Touch();
  if (seq > seq_) {
    CloseLocked(EndReason::kBadRequest,
                {ErrorReason::kAckAhead, "ack is above the last event sent", {}, {}});
    return;
  }
  acked_ = std::max(acked_, seq);
  if (!AckGateClosed()) gate_closed_.reset();
  wake_ = true;
  UpdatePause();
}

void Session::Heartbeat() {
  const Scope scope(this);
  Touch();
}

void Session::HalfClose() {
  const Scope scope(this);
  if (state_ != SessionState::kActive || half_closed_) return;
  half_closed_ = true;
  gate_closed_.reset();
  std::vector<model::EncodedWord> words;
  encoder_.CompleteWord(&words);
  AppendWords(std::move(words));
  CheckEngine(model_->engine->Finish(*sequence_));
  UpdatePause();
  wake_ = true;
}

// ---------------------------------------------------------------- end

void Session::Close(EndReason end, ServerError error) {
  const Scope scope(this);
  CloseLocked(end, std::move(error));
}

void Session::CloseLocked(EndReason end, ServerError error) {
  wake_ = true;
  if (state_ == SessionState::kWaiting || state_ == SessionState::kQueued) {
    LeaveQueue(error.reason == ErrorReason::kDraining ? "drain" : "cancelled");
    outbox_.Clear();
    state_ = SessionState::kEnded;
    error_ = std::move(error);
    abandoned_ = true;
    return;
  }
  if (state_ != SessionState::kActive) return;
  state_ = SessionState::kClosing;
  end_ = end;
  error_ = std::move(error);
  // NotFound: SequenceEnded is on its way and ends the session.
  const absl::Status status = model_->engine->Remove(
      *sequence_, absl::CancelledError("session closed"), /*close_open_segment=*/true);
  if (!status.ok() && !absl::IsNotFound(status)) {
    parts_.logger->Error("engine_refused_remove", {{"session_id", identity_.id},
                                                   {"status", std::string(status.ToString())}});
  }
}

void Session::Abandon(ServerError error) {
  const Scope scope(this);
  if (state_ == SessionState::kWaiting || state_ == SessionState::kQueued) {
    CloseLocked(EndReason::kFault, std::move(error));
    return;
  }
  if (state_ == SessionState::kEnded) return;
  wake_ = true;
  state_ = SessionState::kClosing;
  end_ = EndReason::kFault;
  error_ = std::move(error);
  // Should it come back after all. NotFound: it has ended there.
  static_cast<void>(model_->engine->Remove(*sequence_, absl::CancelledError("session abandoned"),
                                           /*close_open_segment=*/false));
  Handle(model::SequenceEnded{absl::InternalError("the engine does not answer")});
}

// The client's place is free before it can see the end of its session.
void Session::EndShare() {
  if (share_ == nullptr) return;
  deferred_.push_back([share = std::shared_ptr<ClientShare>(std::move(share_))] {});
}

void Session::Cancel() {
  const Scope scope(this);
  if (transport_done_) return;
  transport_done_ = true;
  outbox_.Clear();
  EndShare();
  switch (state_) {
    case SessionState::kWaiting:
    case SessionState::kQueued:
      LeaveQueue("cancelled");
      state_ = SessionState::kEnded;
      break;
    case SessionState::kActive:
      state_ = SessionState::kClosing;
      static_cast<void>(model_->engine->Remove(*sequence_, absl::CancelledError("client is gone"),
                                               /*close_open_segment=*/false));
      break;
    case SessionState::kClosing:
    case SessionState::kEnded:
      break;
  }
  // A session that had an outcome already keeps it in the books.
  if (!settled_ && !error_.has_value()) {
    end_ = EndReason::kCancelled;
    error_ = ServerError{ErrorReason::kCancelled, "cancelled", {}, {}};
  }
  MaybeSettle();
}

void Session::EndEngineSide() {
  state_ = SessionState::kEnded;
  if (lease_ != nullptr) {
    deferred_.push_back([lease = std::shared_ptr<SlotLease>(std::move(lease_))] {});
  }
  MaybeSettle();
}

void Session::MaybeSettle() {
  if (settled_ || !transport_done_ || state_ != SessionState::kEnded) return;
  settled_ = true;
  SessionSummary summary = Summary();
  EndSessionSpan(summary);
  deferred_.push_back([this, self = shared_from_this(), summary = std::move(summary),
                       failed = error_.has_value(),
                       reason = error_.value_or(ServerError{}).reason] {
    if (failed) parts_.observer->OnError(reason);
    parts_.observer->OnSessionEnd(summary);
    LogSessionEnd(parts_.logger, summary);
    parts_.registry->OnSettled(this);
  });
}

SessionSummary Session::Summary() const {
  SessionSummary summary;
  summary.session_id = identity_.id;
  summary.label = config_->label;
  summary.client = identity_.client;
  summary.peer = identity_.peer;
  summary.model = model_->name;
  summary.policy = labels_.policy;
  summary.method = identity_.method;
  summary.code = error_.has_value()
                     ? std::string(absl::StatusCodeToString(ErrorReasonCode(error_->reason)))
                     : "OK";
  summary.reason = error_.has_value() ? ErrorReasonName(error_->reason) : "";
  summary.end = end_;
  summary.length = parts_.clock->Now() - identity_.config_time;
  summary.usage = usage_;
  summary.usage.events = seq_;
  summary.lag_p95_ms = lags_.Percentile(0.95);
  summary.forced_writes = forced_writes_;
  summary.trace_id = identity_.trace.trace_id;
  summary.span_id = identity_.trace.span_id;
  if (drain_noticed_) {
    const bool moved = end_ == EndReason::kComplete && !half_closed_before_drain_;
    summary.drain_outcome = end_ == EndReason::kDrain ? "cut" : moved ? "moved" : "finished";
  }
  return summary;
}

// ---------------------------------------------------------------- delivery

SessionOutput Session::TakeOutput(bool may_write) {
  const Scope scope(this);
  SessionOutput output;
  if (transport_done_ || (!may_write && !abandoned_)) return output;
  const TimePoint now = parts_.clock->Now();
  if (!abandoned_ && !outbox_.empty()) {
    if (AckGateClosed()) {
      UpdatePause();
      wake_ = false;
      return output;
    }
    std::optional<Outbox::Taken> taken = outbox_.Take(now, state_ != SessionState::kActive);
    if (!taken.has_value()) return output;
    ++seq_;
    last_time_ms_ = std::max(last_time_ms_, TimeMs(now));
    output.kind = SessionOutput::Kind::kEvent;
    output.event = {seq_, last_time_ms_, std::move(taken->body)};
    if (auto* ended = std::get_if<EndedEvent>(&output.event.body)) {
      usage_.events = seq_;
      ended->usage = usage_;
    }
    parts_.observer->OnEvent(output.event.body);
    write_kind_ = EventKindName(output.event.body);
    write_made_ = taken->made;
    write_started_ = last_event_ = now;
    UpdatePause();
    wake_ = false;  // the caller goes on by itself
    return output;
  }
  if (state_ != SessionState::kEnded && !abandoned_) return output;
  // Engine side done and everything sent, or nothing more may be sent.
  output.kind = SessionOutput::Kind::kFinish;
  output.error = error_;
  transport_done_ = true;
  EndShare();
  write_started_.reset();
  outbox_.Clear();
  MaybeSettle();
  return output;
}

void Session::OnWriteDone(bool ok, size_t bytes) {
  const Scope scope(this);
  const std::optional<TimePoint> started = std::exchange(write_started_, std::nullopt);
  UpdatePause();
  if (started.has_value() && ok) {
    parts_.observer->OnEventWritten(write_kind_, bytes, parts_.clock->Now() - write_made_);
  }
}

// A stream whose reader does not follow stops decoding; its slot stays.
void Session::UpdatePause() {
  if (state_ != SessionState::kActive) return;
  const bool gate = AckGateClosed();
  // The reader has everything that it may have without an acknowledgement, and more waits.
  if (gate && !outbox_.empty() && !write_started_.has_value() && !gate_closed_.has_value()) {
    gate_closed_ = parts_.clock->Now();
  }
  const bool above = outbox_.bytes() > limits_.outbox_bytes ||
                     outbox_.size() > limits_.outbox_events || (gate && !outbox_.empty());
  const bool below = outbox_.bytes() <= limits_.outbox_bytes / 2 &&
                     outbox_.size() <= limits_.outbox_events / 2 && !gate;
  if (!engine_paused_ && above) {
    engine_paused_ = true;
    CheckEngine(model_->engine->SetPaused(*sequence_, true));
    if (!merge_noticed_) {
      merge_noticed_ = true;
      outbox_.Push(NoticeEvent{NoticeCode::kDeltasMerged,
                               "the reader is slow: deltas are merged and decoding pauses",
                               0,
                               0,
                               {}},
                   parts_.clock->Now());
    }
  } else if (engine_paused_ && below) {
    engine_paused_ = false;
    CheckEngine(model_->engine->SetPaused(*sequence_, false));
  }
}

void Session::NoticeDraining(Duration left) {
  const Scope scope(this);
  if (state_ == SessionState::kWaiting || state_ == SessionState::kQueued) {
    drain_end_ = parts_.clock->Now() + left;  // a slot given before the drain may be on its way
    return;
  }
  TellOfDrain(left);
}

void Session::TellOfDrain(Duration left) {
  if (!drain_noticed_) half_closed_before_drain_ = half_closed_;
  drain_noticed_ = true;
  if (state_ != SessionState::kActive) return;
  Push(NoticeEvent{
      NoticeCode::kDraining,
      "this replica drains: open a new session elsewhere, then half-close this one",
      0,
      static_cast<uint32_t>(std::chrono::duration_cast<std::chrono::milliseconds>(left).count()),
      {}});
}

SessionState Session::state() const {
  const MutexLock lock(&mu_);
  return state_;
}

bool Session::paused() const {
  const MutexLock lock(&mu_);
  return state_ == SessionState::kActive && engine_paused_;
}

}  // namespace dragoman::server
