#include "client/api/invariant_checker.h"

#include <string_view>

#include "base/status_macros.h"
#include "base/strings.h"

namespace dragoman::client {
namespace {

template <typename... Parts>
absl::Status Broken(int invariant, const Parts&... parts) {
  return absl::InternalError(absl::StrCat("invariant ", invariant, ": ", parts...));
}

bool SamePosition(const v1::SourcePosition& a, const v1::SourcePosition& b) {
  return a.bytes() == b.bytes() && a.words() == b.words() && a.tokens() == b.tokens() &&
         a.audio_ms() == b.audio_ms();
}

void Add(const v1::ComputeStats& stats, v1::ComputeStats* sum) {
  sum->set_source_tokens(sum->source_tokens() + stats.source_tokens());
  sum->set_target_tokens(sum->target_tokens() + stats.target_tokens());
  sum->set_decode_steps(sum->decode_steps() + stats.decode_steps());
  sum->set_latent_steps(sum->latent_steps() + stats.latent_steps());
  sum->set_modules_total(sum->modules_total() + stats.modules_total());
  sum->set_modules_skipped(sum->modules_skipped() + stats.modules_skipped());
  sum->set_tail_rewrites(sum->tail_rewrites() + stats.tail_rewrites());
  sum->set_tail_bytes_erased(sum->tail_bytes_erased() + stats.tail_bytes_erased());
  sum->set_forced_writes(sum->forced_writes() + stats.forced_writes());
}

absl::Status CheckSum(const char* name, uint32_t usage, uint32_t sum) {
  if (usage == sum) return absl::OkStatus();
  return Broken(5, "usage.", name, " is ", usage, ", the events add up to ", sum);
}

}  // namespace

InvariantChecker::InvariantChecker(const v1::StreamConfig& config)
    : output_(config.output()), report_queue_(config.report_queue()) {}

absl::Status InvariantChecker::OnEvent(const v1::StreamEvent& event) {
  if (ended_) return Broken(5, "event ", event.seq(), " came after SessionEnded");
  if (event.seq() != last_seq_ + 1) {
    return Broken(1, "seq ", event.seq(), " follows seq ", last_seq_);
  }
  if (event.time_ms() < last_time_ms_) {
    return Broken(1, "time_ms fell from ", last_time_ms_, " to ", event.time_ms(), " at seq ",
                  event.seq());
  }
  last_seq_ = event.seq();
  last_time_ms_ = event.time_ms();

  const auto kind = event.event_case();
  if (kind == v1::StreamEvent::kQueued) {
    if (started_) return Broken(6, "SessionQueued came after SessionStarted");
    if (!report_queue_) return Broken(6, "SessionQueued was not asked for");
    return absl::OkStatus();
  }
  if (kind == v1::StreamEvent::kStarted) return CheckStarted(event.started());
  if (!started_) return Broken(6, "event ", event.seq(), " came before SessionStarted");

  switch (kind) {
    case v1::StreamEvent::kDelta:
      return CheckDelta(event.delta());
    case v1::StreamEvent::kSegmentFinal:
      return CheckFinal(event.segment_final());
    case v1::StreamEvent::kFlushDone:
      return CheckFlushDone(event.flush_done());
    case v1::StreamEvent::kEnded:
      return CheckEnded(event);
    default:
      // Progress, notices and speech activity promise nothing; a kind that this build does not
      // know comes from a later revision of the contract and is counted only.
      return absl::OkStatus();
  }
}

absl::Status InvariantChecker::CheckStarted(const v1::SessionStarted& started) {
  if (started_) return Broken(6, "SessionStarted came twice");
  started_ = true;
  for (const v1::Track& track : started.tracks()) {
    if (!tracks_.emplace(track.id(), TrackState{}).second) {
      return Broken(3, "track ", track.id(), " is declared twice");
    }
  }
  if (tracks_.empty()) return Broken(3, "SessionStarted declares no track");
  return absl::OkStatus();
}

absl::StatusOr<InvariantChecker::TrackState*> InvariantChecker::FindTrack(uint32_t track,
                                                                          uint32_t segment) {
  const auto found = tracks_.find(track);
  if (found == tracks_.end()) return Broken(3, "track ", track, " was not declared");
  if (segment == 0) return Broken(3, "track ", track, " names segment 0");
  if (segment <= found->second.finals) {
    return Broken(3, "track ", track, " segment ", segment, " has an event after its final");
  }
  return &found->second;
}

absl::Status InvariantChecker::CheckStamps(
    const google::protobuf::RepeatedPtrField<v1::WordStamp>& words, size_t length) const {
  uint32_t last_end = 0;
  for (const v1::WordStamp& word : words) {
    // A word may be empty: a model can choose a blank alone.
    if (word.begin() < last_end || word.end() < word.begin() || word.end() > length) {
      return Broken(2, "word stamp [", word.begin(), ", ", word.end(), ") does not fit a text of ",
                    length, " bytes");
    }
    last_end = word.end();
  }
  return absl::OkStatus();
}

absl::Status InvariantChecker::CheckDelta(const v1::TextDelta& delta) {
  DRAGOMAN_ASSIGN_OR_RETURN(TrackState * track, FindTrack(delta.track(), delta.segment()));
  std::string& text = track->segments[delta.segment()];
  if (delta.stable_offset() != text.size()) {
    return Broken(2, "track ", delta.track(), " segment ", delta.segment(), " has ", text.size(),
                  " stable bytes, but stable_offset is ", delta.stable_offset());
  }
  if (!IsValidUtf8(delta.stable()) || !IsValidUtf8(delta.unstable())) {
    return Broken(2, "a delta of track ", delta.track(), " cuts a code point");
  }
  if (!output_.unstable_tail() && !delta.unstable().empty()) {
    return Broken(4, "track ", delta.track(), " carries an unstable tail that was not asked for");
  }
  if (delta.read().bytes() > sent_bytes_) {
    return Broken(5, "source position ", delta.read().bytes(), " is above the ", sent_bytes_,
                  " bytes that were sent");
  }
  text.append(delta.stable());
  if (!delta.stable().empty()) any_text_ = true;
  return CheckStamps(delta.words(), text.size());
}

absl::Status InvariantChecker::CheckFinal(const v1::SegmentFinal& final) {
  DRAGOMAN_ASSIGN_OR_RETURN(TrackState * track, FindTrack(final.track(), final.segment()));
  if (final.segment() != track->finals + 1) {
    return Broken(3, "track ", final.track(), " has the final of segment ", final.segment(),
                  " after ", track->finals, " finals");
  }
  const std::string joined = track->segments[final.segment()];
  if (final.text() != joined) {
    return Broken(2, "the final of track ", final.track(), " segment ", final.segment(), " (",
                  final.text().size(), " bytes) differs from its deltas (", joined.size(),
                  " bytes)");
  }
  DRAGOMAN_RETURN_IF_ERROR(CheckStamps(final.words(), final.text().size()));
  if (final.source_end().bytes() < final.source_begin().bytes() ||
      final.source_end().words() < final.source_begin().words() ||
      final.source_end().bytes() > sent_bytes_) {
    return Broken(5, "the source span of track ", final.track(), " segment ", final.segment(),
                  " does not fit the source");
  }
  if (final.client_id() != 0) {
    if (!open_end_segments_.contains(final.client_id())) {
      return Broken(3, "a final answers end_segment ", final.client_id(), ", which is not open");
    }
    if (++end_segment_finals_[final.client_id()] == tracks_.size()) {
      open_end_segments_.erase(final.client_id());
    }
  }
  track->segments.erase(final.segment());
  track->finals = final.segment();

  // Several tracks share one source: it is counted once.
  if (final.track() == tracks_.begin()->first) {
    sums_.source_words += final.source_end().words() - final.source_begin().words();
  }
  sums_.target_words += static_cast<uint32_t>(final.words_size());
  Add(final.stats(), &sums_.compute);
  return absl::OkStatus();
}

absl::Status InvariantChecker::CheckFlushDone(const v1::FlushDone& done) {
  // Also the answer to an end_segment with nothing open. A flush and an end_segment may share an
  // id; the flush is then taken first.
  if (open_flushes_.erase(done.id()) > 0 || open_end_segments_.erase(done.id()) > 0) {
    return absl::OkStatus();
  }
  return Broken(3, "FlushDone answers id ", done.id(), ", which is not open");
}

absl::Status InvariantChecker::CheckEnded(const v1::StreamEvent& event) {
  const v1::SessionEnded& ended = event.ended();
  for (const auto& [id, track] : tracks_) {
    if (!track.segments.empty()) {
      return Broken(3, "track ", id, " ends without the final of segment ",
                    track.segments.begin()->first);
    }
    if (track.finals != tracks_.begin()->second.finals) {
      return Broken(3, "track ", id, " has ", track.finals, " finals, track ",
                    tracks_.begin()->first, " has ", tracks_.begin()->second.finals);
    }
  }
  if (ended.source_received().bytes() > sent_bytes_) {
    return Broken(5, "source_received is ", ended.source_received().bytes(), " bytes of ",
                  sent_bytes_, " sent");
  }
  DRAGOMAN_RETURN_IF_ERROR(CheckUsage(ended, event.seq()));
  ended_ = ended;
  return absl::OkStatus();
}

absl::Status InvariantChecker::CheckUsage(const v1::SessionEnded& ended, uint32_t seq) const {
  const v1::Usage& usage = ended.usage();
  const bool complete = ended.reason() == v1::END_COMPLETE;
  DRAGOMAN_RETURN_IF_ERROR(CheckSum("events", usage.events(), seq));
  DRAGOMAN_RETURN_IF_ERROR(CheckSum("segments", usage.segments(), tracks_.begin()->second.finals));
  // A session that was cut may have read words that no segment got to.
  if (complete || usage.source_words() < sums_.source_words) {
    DRAGOMAN_RETURN_IF_ERROR(CheckSum("source_words", usage.source_words(), sums_.source_words));
  }
  // The words of the target are countable only by their stamps: white space may be inside a word.
  if (output_.word_stamps()) {
    DRAGOMAN_RETURN_IF_ERROR(CheckSum("target_words", usage.target_words(), sums_.target_words));
  }
  if (!any_text_ && usage.first_write_ms() != 0) {
    return Broken(5, "usage.first_write_ms is ", usage.first_write_ms(),
                  " and nothing was written");
  }
  if (!output_.model_stats()) return absl::OkStatus();
  const v1::ComputeStats& compute = usage.compute();
  const v1::ComputeStats& sum = sums_.compute;
  DRAGOMAN_RETURN_IF_ERROR(CheckSum("target_tokens", usage.target_tokens(), sum.target_tokens()));
  DRAGOMAN_RETURN_IF_ERROR(
      CheckSum("compute.decode_steps", compute.decode_steps(), sum.decode_steps()));
  DRAGOMAN_RETURN_IF_ERROR(
      CheckSum("compute.latent_steps", compute.latent_steps(), sum.latent_steps()));
  DRAGOMAN_RETURN_IF_ERROR(
      CheckSum("compute.modules_total", compute.modules_total(), sum.modules_total()));
  DRAGOMAN_RETURN_IF_ERROR(
      CheckSum("compute.modules_skipped", compute.modules_skipped(), sum.modules_skipped()));
  DRAGOMAN_RETURN_IF_ERROR(
      CheckSum("compute.tail_rewrites", compute.tail_rewrites(), sum.tail_rewrites()));
  DRAGOMAN_RETURN_IF_ERROR(
      CheckSum("compute.tail_bytes_erased", compute.tail_bytes_erased(), sum.tail_bytes_erased()));
  return CheckSum("compute.forced_writes", compute.forced_writes(), sum.forced_writes());
}

absl::Status InvariantChecker::OnEnd(const CallStatus& status) const {
  const bool complete = ended_ && half_closed_ && ended_->reason() == v1::END_COMPLETE &&
                        SamePosition(ended_->source_received(), ended_->source_translated());
  if (!status.ok()) {
    // A status without a reason comes from the transport, which may break after the last event.
    if (complete && !status.reason.empty()) {
      return Broken(6, "all source was translated, but the status is ", status.reason);
    }
    return absl::OkStatus();
  }
  if (!started_) return Broken(6, "status OK without SessionStarted");
  if (!ended_) return Broken(5, "status OK without SessionEnded");
  if (!half_closed_) return Broken(6, "status OK before the half-close");
  if (!complete) return Broken(6, "status OK, but the source was not translated to its end");
  if (ended_->source_received().bytes() != sent_bytes_) {
    return Broken(6, "status OK, but ", ended_->source_received().bytes(), " of ", sent_bytes_,
                  " bytes were received");
  }
  if (!open_flushes_.empty()) {
    return Broken(6, "flush ", *open_flushes_.begin(), " was never answered");
  }
  if (!open_end_segments_.empty()) {
    return Broken(6, "end_segment ", *open_end_segments_.begin(), " was never answered");
  }
  return absl::OkStatus();
}

}  // namespace dragoman::client
