// What a session makes of the events of its engine sequence. Runs on the delivery thread.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/session/session.h"
#include "server/session/session_scope.h"

namespace dragoman::server {

void Session::OnSequenceEvent(model::SequenceEvent event) {
  const Scope scope(this);
  // One wake-up per batch (OnBatchEnd), not one per event.
  const bool wake_before = wake_;
  std::visit([this](const auto& kind) { Handle(kind); }, event);
  wake_ = wake_before;
}

void Session::OnBatchEnd() {
  if (const auto transport = transport_.lock()) transport->Wake();
}

void Session::Handle(const model::WordCommitted& event) {
  const TimePoint now = parts_.clock->Now();
  read_words_ = std::max(read_words_, event.sequence_words_read);
  const SourcePosition read = ledger_.At(event.sequence_words_read);
  DeltaEvent delta = writer_.Write(event, read, TimeMs(now));
  ++usage_.target_words;

  const uint32_t lag_words = ledger_.words() - std::min(ledger_.words(), read.words);
  const Duration lag = read.words > 0 ? now - ledger_.ArrivalOf(read.words) : Duration{};
  parts_.observer->OnWord(labels_, lag_words, lag);
  lags_.Add(
      static_cast<uint32_t>(std::chrono::duration_cast<std::chrono::milliseconds>(lag).count()));
  if (!segment_write_.has_value()) segment_write_ = now;
  if (usage_.first_write_ms == 0) {
    first_write_ = now;
    usage_.first_write_ms = std::max(1u, TimeMs(now));
    parts_.observer->OnFirstWrite(labels_, now - first_source_.value_or(now));
  }
  if (!config_->word_stamps) delta.words.clear();
  if (delta.stable.empty() && delta.words.empty() && !config_->unstable_tail) return;
  Push(std::move(delta));
}

void Session::Handle(const model::PartialWord& event) {
  if (auto delta = writer_.ShowTail(event, ledger_.At(read_words_))) Push(*std::move(delta));
}

void Session::Handle(const model::SegmentClosed& event) {
  const SourcePosition end = ledger_.At(event.sequence_words_end);
  if (auto tail = writer_.FlushTail(end)) {
    tail->segment = event.segment;
    Push(*std::move(tail));
  }
  read_words_ = std::max(read_words_, event.sequence_words_end);
  FinalEvent final_event = writer_.Close(event, end, config_->word_stamps);
  if (event.cut == model::SegmentCut::kClient) {
    const auto found = segment_ends_.find(event.client_id);
    const std::optional<uint32_t> client_id =
        found == segment_ends_.end() ? std::nullopt : found->second;
    if (found != segment_ends_.end()) segment_ends_.erase(found);
    final_event.client_id = client_id.value_or(0);
    if (!client_id.has_value()) final_event.reason = FinalReason::kBoundary;  // a blank line
  } else {
    final_event.client_id = 0;
  }
  if (final_event.reason == FinalReason::kLength ||
      final_event.reason == FinalReason::kSessionEnd) {
    ++forced_writes_;
  }
  forced_writes_ += final_event.stats.forced_writes;
  EndSegmentSpan(final_event);
  translated_ = end;
  ++usage_.segments;
  ++segments_closed_;
  usage_.target_tokens += final_event.stats.target_tokens;
  usage_.kv_pages_peak = std::max(usage_.kv_pages_peak, event.kv_pages_peak);
  usage_.compute.Add(final_event.stats);
  parts_.observer->OnFinal(labels_, final_event);
  ledger_.Forget(event.sequence_words_end);

  if (final_event.reason == FinalReason::kLength) {
    Push(NoticeEvent{
        NoticeCode::kSegmentCut, "the segment reached a length limit", event.segment, 0, {}});
  }
  if (event.forced_words > 0) {
    Push(NoticeEvent{
        NoticeCode::kLagForced,
        absl::StrCat(event.forced_words, " words were written because of max_lag_words"),
        event.segment,
        0,
        {}});
  }
  if (event.guard == model::TargetGuard::kLoop) {
    Push(NoticeEvent{
        NoticeCode::kRepetitionStopped, "the loop guard ended the segment", event.segment, 0, {}});
  }
  final_event.has_stats = config_->model_stats;
  Push(std::move(final_event));
}

void Session::Handle(const model::FlushReached& event) {
  --pending_flushes_;
  Push(FlushDoneEvent{event.flush_id});
}

void Session::Handle(const model::NothingToEnd& event) {
  const auto found = segment_ends_.find(event.client_id);
  if (found == segment_ends_.end()) return;
  const std::optional<uint32_t> client_id = found->second;
  segment_ends_.erase(found);
  if (client_id.has_value()) Push(FlushDoneEvent{*client_id});
}

void Session::Handle(const model::SourceEncoded& event) {
  encoded_words_ = std::max(encoded_words_, event.sequence_words);
  if (MayReadLocked() && inbox_full_.has_value()) {
    inbox_full_.reset();
    last_client_ = parts_.clock->Now();  // the client could not send before
  }
}

void Session::Handle(const model::SequenceEnded& event) {
  if (state_ == SessionState::kEnded) return;
  if (writer_.open_segment() != 0) {
    // The engine gives no SegmentClosed when it fails; the client has seen text and gets its final.
    model::SegmentClosed closed;
    closed.segment = writer_.open_segment();
    closed.sequence_words_end = read_words_;
    Handle(closed);
  }
  if (abandoned_ || transport_done_) {
    // The outcome was fixed when the transport went or was given its status.
  } else if (event.status.ok() && half_closed_) {
    // Everything was handled, also when an end was asked for in the meantime.
    end_ = EndReason::kComplete;
    error_.reset();
    translated_ = Received();
  } else if (state_ == SessionState::kActive) {
    if (absl::IsUnavailable(event.status)) {
      end_ = EndReason::kDrain;
      error_ = ServerError{
          ErrorReason::kDraining, "the replica stops", {{"seconds_left", "0"}}, Duration{}};
    } else {
      end_ = EndReason::kFault;
      error_ = ServerError{ErrorReason::kComputeFault,
                           "this stream's numbers are not finite or its sequence failed",
                           {},
                           {}};
      parts_.logger->Error("sequence_failed", {{"session_id", identity_.id},
                                               {"status", std::string(event.status.ToString())}});
    }
  }
  Push(EndedEvent{end_, {}, Received(), translated_});
  EndEngineSide();
}

// ---------------------------------------------------------------- spans

void Session::EndSpan(TraceSpan span) { ended_spans_.push_back(std::move(span)); }

void Session::EndQueueSpan(std::string_view outcome) {
  if (parts_.traces == nullptr) return;
  EndSpan({ChildOf(identity_.trace),
           "queue",
           identity_.config_time,
           parts_.clock->Now(),
           {{"dragoman.queue.outcome", std::string(outcome)}},
           {}});
}

void Session::EndSegmentSpan(const FinalEvent& final_event) {
  const std::optional<TimePoint> first_write = std::exchange(segment_write_, std::nullopt);
  if (parts_.traces == nullptr) return;
  const TimePoint now = parts_.clock->Now();
  const uint32_t first_word = final_event.source_begin.words + 1;
  TraceSpan span{ChildOf(identity_.trace),
                 absl::StrCat("segment[", final_event.segment, "]"),
                 first_word <= ledger_.words() ? ledger_.ArrivalOf(first_word) : now,
                 now,
                 {{"dragoman.final.reason", FinalReasonName(final_event.reason)},
                  {"dragoman.source.tokens", int64_t{final_event.stats.source_tokens}},
                  {"dragoman.target.tokens", int64_t{final_event.stats.target_tokens}}},
                 {}};
  if (first_write.has_value()) span.events.emplace_back("first_write", *first_write);
  span.events.emplace_back("final", now);
  EndSpan(std::move(span));
}

void Session::EndSessionSpan(const SessionSummary& summary) {
  if (parts_.traces == nullptr) return;
  const auto code = error_.has_value() ? ErrorReasonCode(error_->reason) : absl::StatusCode::kOk;
  TraceSpan span{identity_.trace,
                 summary.method,
                 identity_.config_time,
                 parts_.clock->Now(),
                 {{"rpc.system", "grpc"},
                  {"rpc.service", "dragoman.v1.Interpreter"},
                  {"rpc.method", summary.method},
                  {"rpc.grpc.status_code", int64_t{static_cast<int>(code)}},
                  {"dragoman.session_id", summary.session_id},
                  {"dragoman.model", summary.model},
                  {"dragoman.policy", summary.policy},
                  {"dragoman.end", EndReasonName(summary.end)},
                  {"dragoman.segments", int64_t{summary.usage.segments}}},
                 {}};
  if (first_write_.has_value()) span.events.emplace_back("first_write", *first_write_);
  EndSpan(std::move(span));
}

}  // namespace dragoman::server
