#include "client/load/load_session.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "model/metrics/lag.h"

namespace dragoman::client {
namespace {

// The client library cuts longer text into messages of at most this.
constexpr size_t kWholeChunkBytes = 4096;

double Seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

v1::StreamConfig ConfigFor(v1::StreamConfig config, SessionRole role) {
  if (role == SessionRole::kReadsSlowly) {
    config.mutable_output()->set_max_unacked_events(kSlowReadUnackedEvents);
  }
  return config;
}

StreamOptions OptionsFor(SessionRole role) {
  StreamOptions options;
  if (role == SessionRole::kReadsSlowly) options.max_read_ahead_events = 1;
  return options;
}

std::optional<double> Laal(const v1::SegmentFinal& final) {
  model::LagSegment segment;
  const uint32_t begin = final.source_begin().words();
  segment.source_length = static_cast<double>(final.source_end().words()) - begin;
  for (const v1::WordStamp& word : final.words()) {
    segment.delays.push_back(static_cast<double>(word.read_words()) - begin);
  }
  const std::optional<model::LagScores> scores = model::ScoreLag(segment);
  if (!scores) return std::nullopt;
  return scores->laal;
}

}  // namespace

LoadSession::LoadSession(InterpreterClient* client, v1::StreamConfig config,
                         const std::vector<std::string>* words, const SessionPlan& plan,
                         RandomStream pace, Clock* clock)
    : words_(*words),
      role_(plan.role),
      clock_(clock),
      stream_(client->StartStream(ConfigFor(std::move(config), plan.role), OptionsFor(plan.role))),
      next_word_(plan.first_word),
      pace_(pace) {
  reader_ = std::thread([this] { Read(); });
}

LoadSession::~LoadSession() {
  if (reader_.joinable()) reader_.join();
}

bool LoadSession::Speak() {
  const std::string text = absl::StrCat(words_[next_word_ % words_.size()], " ");
  {
    // Before the word can be answered.
    MutexLock lock(&mu_);
    sent_.push_back(clock_->Now());
  }
  if (!stream_->SendText(text).ok()) {
    MutexLock lock(&mu_);
    sent_.pop_back();
    return false;
  }
  ++next_word_;
  longest_chunk_bytes_ = std::max(longest_chunk_bytes_, text.size());
  sent_bytes_ += text.size();
  return true;
}

void LoadSession::HalfClose() {
  stream_->HalfClose();
  SpeakingIsOver();
}

void LoadSession::Cancel() {
  stream_->Cancel();
  SpeakingIsOver();
}

void LoadSession::SpeakingIsOver() {
  MutexLock lock(&mu_);
  speaking_over_ = true;
  speaking_over_changed_.notify_all();
}

void LoadSession::PauseBeforeRead() {
  const auto pause =
      std::chrono::duration_cast<Duration>(kSlowReadPause * (0.5 + pace_.NextUnit()));
  MutexLock lock(&mu_);
  if (speaking_over_) return;
  clock_->WaitUntil(&mu_, &speaking_over_changed_, clock_->Now() + pause,
                    [this] { return speaking_over_; });
}

void LoadSession::Read() {
  const bool slow = role_ == SessionRole::kReadsSlowly;
  while (true) {
    if (slow) PauseBeforeRead();
    const std::optional<v1::StreamEvent> event = stream_->Next();
    if (!event) return;
    {
      MutexLock lock(&mu_);
      OnEvent(*event);
    }
    if (slow) static_cast<void>(stream_->Ack(event->seq()));  // fails only when all is over
  }
}

void LoadSession::OnEvent(const v1::StreamEvent& event) {
  ++outcome_.events_received;
  if (event.has_started()) chunk_limit_bytes_ = event.started().limits().text_chunk_bytes();
  if (event.has_delta()) OnText(event.delta());
  if (event.has_segment_final()) OnFinal(event.segment_final());
  if (event.has_ended()) ended_ = event.ended();
}

void LoadSession::OnText(const v1::TextDelta& delta) {
  flicker_.OnDelta(delta);
  const uint32_t read = delta.read().words();
  read_words_ = std::max(read_words_, read);
  if (delta.stable().empty() || read == 0 || read > sent_.size()) return;
  const TimePoint now = clock_->Now();
  outcome_.lag_seconds.push_back(Seconds(now - sent_[read - 1]));
  if (!outcome_.first_text_seconds) outcome_.first_text_seconds = Seconds(now - sent_.front());
}

void LoadSession::OnFinal(const v1::SegmentFinal& final) {
  flicker_.OnFinal(final);
  ++finals_;
  outcome_.final_bytes += final.text().size();
  read_words_ = std::max(read_words_, final.source_end().words());
  if (const std::optional<double> laal = Laal(final)) {
    laal_sum_ += *laal;
    ++laal_segments_;
  }
}

RunCounts LoadSession::Counts() const {
  const StreamEnd& end = outcome_.end;
  RunCounts counts;
  // A try that found nobody never reached the server; one that was started did.
  const auto tries = static_cast<uint64_t>(end.tries);
  counts.calls.Add(end.started ? 1 : 0, tries);
  counts.sessions.Add(end.started ? 1 : 0, tries);
  const bool kept = !end.broken_invariant;
  const bool complete = kept && end.status.ok() && ended_.has_value();
  counts.completed.Add(complete ? 1 : 0, !kept || ended_ ? 1 : 0);
  const bool whole =
      longest_chunk_bytes_ <= kWholeChunkBytes &&
      (chunk_limit_bytes_ == 0 || longest_chunk_bytes_ <= size_t{chunk_limit_bytes_});
  counts.chunks.Add(complete ? sent_.size() : 0, whole ? sent_.size() : CountRange::kUnlimited);
  counts.source_bytes.Add(complete ? sent_bytes_ : 0, sent_bytes_);
  if (kept && ended_) {
    const v1::Usage& usage = ended_->usage();
    counts.source_words.AddExactly(usage.source_words());
    counts.target_words.AddExactly(usage.target_words());
    counts.segments.AddExactly(finals_);
    counts.events.AddExactly(outcome_.events_received);
    counts.final_bytes.AddExactly(outcome_.final_bytes);
  } else {
    // The server may have done more than arrived here.
    counts.source_words.AddAtLeast(read_words_);
    counts.target_words.AddAtLeast(0);
    counts.segments.AddAtLeast(finals_);
    counts.events.AddAtLeast(outcome_.events_received);
    counts.final_bytes.AddAtLeast(outcome_.final_bytes);
  }
  return counts;
}

SessionOutcome LoadSession::Join() {
  reader_.join();
  MutexLock lock(&mu_);
  outcome_.role = role_;
  outcome_.end = stream_->end();
  outcome_.words_sent = sent_.size();
  outcome_.messages_sent = sent_.size() + 1;
  outcome_.target_words = ended_ ? ended_->usage().target_words() : 0;
  outcome_.withdrawn_bytes = flicker_.withdrawn_bytes();
  if (laal_segments_ > 0) outcome_.laal_words = laal_sum_ / static_cast<double>(laal_segments_);
  outcome_.counts = Counts();
  return std::move(outcome_);
}

}  // namespace dragoman::client
