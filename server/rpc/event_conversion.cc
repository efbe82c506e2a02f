#include "server/rpc/event_conversion.h"

#include <string>

#include "server/rpc/policy_message.h"

namespace dragoman::server {
namespace {

constexpr uint32_t kMaxTargets = 1;

void Fill(const SourcePosition& position, v1::SourcePosition* message) {
  message->set_bytes(position.bytes);
  message->set_words(position.words);
  message->set_tokens(position.tokens);
}

void Fill(const WordStamp& stamp, v1::WordStamp* message) {
  message->set_begin(stamp.begin);
  message->set_end(stamp.end);
  message->set_read_words(stamp.read_words);
  message->set_emit_ms(stamp.emit_ms);
}

void Fill(const ComputeStats& stats, v1::ComputeStats* message) {
  message->set_source_tokens(stats.source_tokens);
  message->set_target_tokens(stats.target_tokens);
  message->set_decode_steps(stats.decode_steps);
  message->set_modules_total(stats.modules_total);
  message->set_modules_skipped(stats.modules_skipped);
  message->set_compute_ms(stats.compute_ms);
  message->set_tail_rewrites(stats.tail_rewrites);
  message->set_tail_bytes_erased(stats.tail_bytes_erased);
  message->set_forced_writes(stats.forced_writes);
}

v1::EndReason ToMessage(EndReason reason) {
  switch (reason) {
    case EndReason::kComplete:
      return v1::END_COMPLETE;
    case EndReason::kIdle:
      return v1::END_IDLE;
    case EndReason::kDuration:
      return v1::END_DURATION;
    case EndReason::kDrain:
      return v1::END_DRAIN;
    case EndReason::kBadRequest:
      return v1::END_BAD_REQUEST;
    case EndReason::kQuota:
      return v1::END_QUOTA;
    case EndReason::kSlowReader:
      return v1::END_SLOW_READER;
    case EndReason::kFault:
      return v1::END_FAULT;
    case EndReason::kRevoked:
      return v1::END_REVOKED;
    case EndReason::kNone:
    case EndReason::kCancelled:
      return v1::END_REASON_UNSPECIFIED;
  }
  return v1::END_REASON_UNSPECIFIED;
}

// One overload per kind of event.
struct Filler {
  v1::StreamEvent* message;
  const RpcLimits& limits;
  const ServedModel& model;

  void operator()(const QueuedEvent& event) const {
    message->mutable_queued()->set_ahead(event.ahead);
    message->mutable_queued()->set_wait_limit_ms(event.wait_limit_ms);
  }
  void operator()(const StartedEvent& event) const {
    v1::SessionStarted& started = *message->mutable_started();
    started.set_session_id(event.session_id);
    started.mutable_model()->set_name(event.model);
    started.mutable_model()->set_digest(event.digest);
    started.set_slot(event.slot);
    v1::Track& track = *started.add_tracks();
    track.set_id(kTrack);
    track.set_kind(v1::TRACK_TRANSLATION);
    track.set_language(event.effective->target_language);
    *started.mutable_effective() = ToMessage(*event.effective);
    *started.mutable_limits() = ToMessage(limits, static_cast<uint32_t>(model.max_positions));
    started.mutable_source_received();
    started.set_queue_wait_ms(event.queue_wait_ms);
  }
  void operator()(const ProgressEvent& event) const {
    v1::Progress& progress = *message->mutable_progress();
    Fill(event.received, progress.mutable_received());
    Fill(event.encoded, progress.mutable_encoded());
    progress.set_lag_words(event.lag_words);
    progress.set_lag_ms(event.lag_ms);
  }
  void operator()(const DeltaEvent& event) const {
    v1::TextDelta& delta = *message->mutable_delta();
    delta.set_track(kTrack);
    delta.set_segment(event.segment);
    delta.set_stable_offset(event.stable_offset);
    delta.set_stable(event.stable);
    delta.set_unstable(event.unstable);
    Fill(event.read, delta.mutable_read());
    for (const WordStamp& stamp : event.words) Fill(stamp, delta.add_words());
  }
  void operator()(const FinalEvent& event) const {
    v1::SegmentFinal& final_message = *message->mutable_segment_final();
    final_message.set_track(kTrack);
    final_message.set_segment(event.segment);
    final_message.set_text(event.text);
    final_message.set_reason(static_cast<v1::FinalReason>(event.reason));
    final_message.set_client_id(event.client_id);
    Fill(event.source_begin, final_message.mutable_source_begin());
    Fill(event.source_end, final_message.mutable_source_end());
    for (const WordStamp& stamp : event.words) Fill(stamp, final_message.add_words());
    if (event.has_stats) Fill(event.stats, final_message.mutable_stats());
  }
  void operator()(const FlushDoneEvent& event) const {
    message->mutable_flush_done()->set_id(event.id);
  }
  void operator()(const NoticeEvent& event) const {
    v1::Notice& notice = *message->mutable_notice();
    notice.set_code(static_cast<v1::NoticeCode>(event.code));
    notice.set_message(event.message);
    notice.set_segment(event.segment);
    notice.set_value_ms(event.value_ms);
    for (const auto& [key, value] : event.details) (*notice.mutable_details())[key] = value;
  }
  void operator()(const EndedEvent& event) const {
    v1::SessionEnded& ended = *message->mutable_ended();
    ended.set_reason(ToMessage(event.reason));
    *ended.mutable_usage() = ToMessage(event.usage);
    Fill(event.source_received, ended.mutable_source_received());
    Fill(event.source_translated, ended.mutable_source_translated());
  }
};

}  // namespace

v1::StreamEvent ToMessage(const SessionEvent& event, const RpcLimits& limits,
                          const ServedModel& model) {
  v1::StreamEvent message;
  message.set_seq(event.seq);
  message.set_time_ms(event.time_ms);
  std::visit(Filler{&message, limits, model}, event.body);
  return message;
}

v1::StreamConfig ToMessage(const SessionConfig& config) {
  v1::StreamConfig message;
  message.set_model(config.model);
  message.set_source_language(config.source_language);
  message.add_target_languages(config.target_language);
  message.mutable_text_input()->set_newline_is_boundary(config.newline_is_boundary);
  WritePolicy(config.policy, &message);
  message.set_max_lag_words(config.max_lag_words);
  message.set_segment_mode(config.client_segments ? v1::SEGMENT_CLIENT : v1::SEGMENT_AUTO);
  v1::OutputOptions& output = *message.mutable_output();
  output.set_word_stamps(config.word_stamps);
  output.set_unstable_tail(config.unstable_tail);
  output.set_model_stats(config.model_stats);
  output.set_min_event_interval_ms(config.min_event_interval_ms);
  output.set_max_unacked_events(config.max_unacked_events);
  v1::ComputeOptions& compute = *message.mutable_compute();
  compute.set_theta(static_cast<float>(config.theta));
  compute.set_latent_steps(0);
  compute.set_seed(0);
  compute.set_strict(config.strict);
  message.set_session_label(config.label);
  message.set_max_queue_wait_ms(config.max_queue_wait_ms);
  message.set_report_queue(config.report_queue);
  return message;
}

v1::Usage ToMessage(const Usage& usage) {
  v1::Usage message;
  message.set_source_words(usage.source_words);
  message.set_source_tokens(usage.source_tokens);
  message.set_target_words(usage.target_words);
  message.set_target_tokens(usage.target_tokens);
  message.set_segments(usage.segments);
  message.set_events(usage.events);
  message.set_queue_wait_ms(usage.queue_wait_ms);
  message.set_first_write_ms(usage.first_write_ms);
  message.set_kv_pages_peak(usage.kv_pages_peak);
  Fill(usage.compute, message.mutable_compute());
  return message;
}

v1::Limits ToMessage(const RpcLimits& limits, uint32_t segment_tokens) {
  v1::Limits message;
  message.set_message_bytes(limits.message_bytes);
  message.set_text_chunk_bytes(limits.text_chunk_bytes);
  message.set_audio_chunk_bytes(limits.audio_chunk_bytes);
  message.set_context_bytes(limits.context_bytes);
  message.set_examples(limits.examples);
  message.set_glossary_entries(limits.glossary_entries);
  message.set_segment_tokens(segment_tokens);
  message.set_stream_seconds(limits.stream_seconds);
  message.set_idle_seconds(limits.idle_seconds);
  message.set_queue_wait_ms(limits.max_queue_wait_ms);
  message.set_unary_bytes(limits.unary_bytes);
  message.set_targets(kMaxTargets);
  return message;
}

}  // namespace dragoman::server
