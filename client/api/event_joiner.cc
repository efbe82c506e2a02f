#include "client/api/event_joiner.h"

#include <algorithm>
#include <utility>

namespace dragoman::client {

void EventJoiner::BeginSession() {
  resumed_ = seq_ > 0;
  base_time_ms_ = time_ms_;
  base_segments_ = segments_;
  base_ = final_end_;
}

void EventJoiner::Move(v1::SourcePosition* position) const {
  position->set_bytes(position->bytes() + base_.bytes());
  position->set_words(position->words() + base_.words());
  position->set_tokens(position->tokens() + base_.tokens());
}

template <typename Words>
void EventJoiner::MoveStamps(Words* words) const {
  for (v1::WordStamp& word : *words) {
    word.set_read_words(word.read_words() + base_.words());
    word.set_emit_ms(word.emit_ms() + base_time_ms_);
  }
}

v1::StreamEvent EventJoiner::Join(v1::StreamEvent event) {
  event.set_seq(++seq_);
  time_ms_ = std::max(time_ms_, base_time_ms_ + event.time_ms());
  event.set_time_ms(time_ms_);
  switch (event.event_case()) {
    case v1::StreamEvent::kStarted:
      if (resumed_) {
        event.mutable_started()->set_resumed(true);
        *event.mutable_started()->mutable_source_received() = base_;
      }
      break;
    case v1::StreamEvent::kProgress:
      Move(event.mutable_progress()->mutable_received());
      Move(event.mutable_progress()->mutable_encoded());
      break;
    case v1::StreamEvent::kDelta: {
      v1::TextDelta& delta = *event.mutable_delta();
      delta.set_segment(delta.segment() + base_segments_);
      Move(delta.mutable_read());
      MoveStamps(delta.mutable_words());
      break;
    }
    case v1::StreamEvent::kSegmentFinal: {
      v1::SegmentFinal& final = *event.mutable_segment_final();
      final.set_segment(final.segment() + base_segments_);
      Move(final.mutable_source_begin());
      Move(final.mutable_source_end());
      MoveStamps(final.mutable_words());
      segments_ = std::max(segments_, final.segment());
      final_end_ = final.source_end();
      break;
    }
    case v1::StreamEvent::kNotice:
      if (event.notice().segment() > 0) {
        event.mutable_notice()->set_segment(event.notice().segment() + base_segments_);
      }
      break;
    case v1::StreamEvent::kEnded: {
      v1::SessionEnded& ended = *event.mutable_ended();
      Move(ended.mutable_source_received());
      Move(ended.mutable_source_translated());
      v1::Usage& usage = *ended.mutable_usage();
      usage.set_source_words(usage.source_words() + base_.words());
      usage.set_source_tokens(usage.source_tokens() + base_.tokens());
      usage.set_segments(usage.segments() + base_segments_);
      usage.set_events(seq_);
      break;
    }
    default:
      break;
  }
  return event;
}

}  // namespace dragoman::client
