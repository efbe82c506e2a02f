// Everything of a session that depends on time. One timer per session is armed for the nearest
// deadline; it checks all of them.
#include <algorithm>
#include <utility>

#include "server/session/session.h"
#include "server/session/session_scope.h"

namespace dragoman::server {
namespace {

constexpr Duration kProgressInterval = std::chrono::seconds(1);
constexpr Duration kQueueEventInterval = std::chrono::seconds(1);

uint32_t Milliseconds(Duration duration) {
  const auto count = std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
  return static_cast<uint32_t>(std::max<int64_t>(count, 0));
}

std::string Seconds(Duration duration) {
  return absl::StrCat(std::chrono::duration_cast<std::chrono::seconds>(duration).count());
}

}  // namespace

// While we do not read, silence is not the client's fault.
bool Session::IdleClockRuns() const {
  return state_ == SessionState::kActive && !half_closed_ && !inbox_full_.has_value() &&
         !gate_closed_.has_value();
}

bool Session::HasProgress() const {
  return state_ == SessionState::kActive && outbox_.empty() && !AckGateClosed() &&
         (progress_words_ != ledger_.words() || progress_encoded_ != encoded_words_);
}

TimePoint Session::NextDeadline() const {
  TimePoint next = TimePoint::max();
  const auto consider = [&](TimePoint time) { next = std::min(next, time); };
  if (settled_) return next;
  if (state_ == SessionState::kQueued) {
    if (config_->report_queue) consider(next_queue_event_);
    return next;
  }
  if (write_started_.has_value() && !transport_done_)
    consider(*write_started_ + limits_.write_stall);
  if (state_ != SessionState::kActive) return next;
  // With a write in flight or the gate closed the transport comes back by itself.
  if (!write_started_.has_value() && !AckGateClosed()) consider(outbox_.held_until());
  if (IdleClockRuns()) {
    consider(last_client_ + (idle_noticed_ ? limits_.idle : limits_.idle_notice));
  }
  consider(identity_.config_time +
           (duration_noticed_ ? limits_.duration : limits_.duration - limits_.duration_notice));
  if (gate_closed_.has_value()) consider(*gate_closed_ + limits_.write_stall);
  if (HasProgress()) consider(last_event_ + kProgressInterval);
  if (!half_closed_ && inbox_full_.has_value() && behind_noticed_segment_ != segments_closed_ + 1) {
    consider(*inbox_full_ + limits_.source_behind);
  }
  return next;
}

void Session::OnTimer(TimePoint time) {
  const Scope scope(this);
  if (!timer_.has_value() || timer_->first != time) return;  // a nearer one took its place
  timer_.reset();
  CheckTimers(parts_.clock->Now());
}

void Session::CheckTimers(TimePoint now) {
  if (settled_) return;
  if (state_ == SessionState::kQueued) {
    if (config_->report_queue && now >= next_queue_event_) {
      next_queue_event_ = now + kQueueEventInterval;
      // The queue's own lock is a leaf; it calls nobody back.
      Push(QueuedEvent{static_cast<uint32_t>(queue_place_->ahead()),
                       Milliseconds(queue_place_->deadline - identity_.config_time)});
    }
    return;
  }
  if (write_started_.has_value() && !transport_done_ &&
      now >= *write_started_ + limits_.write_stall) {
    // The transport takes nothing more, so no event can be sent either.
    abandoned_ = true;
    outbox_.Clear();
    const ServerError error{
        ErrorReason::kSlowReader,
        "a write did not complete in time",
        {{"seconds", Seconds(limits_.write_stall)}, {"unacked", absl::StrCat(seq_ - acked_)}},
        {}};
    if (state_ == SessionState::kActive) {
      CloseLocked(EndReason::kSlowReader, error);
    } else {
      end_ = EndReason::kSlowReader;
      error_ = error;
    }
    write_started_.reset();
    wake_ = true;
    return;
  }
  if (state_ != SessionState::kActive) return;
  if (outbox_.held_until() <= now) wake_ = true;

  if (now >= identity_.config_time + limits_.duration) {
    CloseLocked(EndReason::kDuration, {ErrorReason::kDurationLimit,
                                       "the session reached its time limit",
                                       {{"seconds", Seconds(limits_.duration)}},
                                       {}});
    return;
  }
  if (!duration_noticed_ &&
      now >= identity_.config_time + limits_.duration - limits_.duration_notice) {
    duration_noticed_ = true;
    Push(NoticeEvent{NoticeCode::kDurationSoon,
                     "the session will reach its time limit",
                     0,
                     Milliseconds(identity_.config_time + limits_.duration - now),
                     {}});
  }
  if (IdleClockRuns()) {
    if (now >= last_client_ + limits_.idle) {
      CloseLocked(EndReason::kIdle, {ErrorReason::kIdleTimeout,
                                     "nothing came from the client",
                                     {{"seconds", Seconds(limits_.idle)}},
                                     {}});
      return;
    }
    if (!idle_noticed_ && now >= last_client_ + limits_.idle_notice) {
      idle_noticed_ = true;
      Push(NoticeEvent{NoticeCode::kIdleSoon,
                       "nothing came from the client for a while",
                       0,
                       Milliseconds(last_client_ + limits_.idle - now),
                       {}});
    }
  }
  if (gate_closed_.has_value() && now >= *gate_closed_ + limits_.write_stall) {
    CloseLocked(EndReason::kSlowReader, {ErrorReason::kSlowReader,
                                         "events were not acknowledged in time",
                                         {{"seconds", Seconds(limits_.write_stall)},
                                          {"unacked", absl::StrCat(seq_ - acked_)}},
                                         {}});
    return;
  }
  if (!half_closed_ && inbox_full_.has_value() && now >= *inbox_full_ + limits_.source_behind &&
      behind_noticed_segment_ != segments_closed_ + 1) {
    behind_noticed_segment_ = segments_closed_ + 1;
    Push(NoticeEvent{NoticeCode::kSourceBehind,
                     "source comes faster than it is translated; reading pauses",
                     segments_closed_ + 1,
                     0,
                     {}});
  }
  if (HasProgress() && now >= last_event_ + kProgressInterval) {
    progress_words_ = ledger_.words();
    progress_encoded_ = encoded_words_;
    const uint32_t lag_words = ledger_.words() - std::min(ledger_.words(), read_words_);
    const Duration lag = lag_words > 0 ? now - ledger_.ArrivalOf(read_words_ + 1) : Duration{};
    Push(ProgressEvent{Received(), ledger_.At(encoded_words_), lag_words, Milliseconds(lag)});
  }
}

}  // namespace dragoman::server
