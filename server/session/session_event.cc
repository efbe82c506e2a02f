#include "server/session/session_event.h"

namespace dragoman::server {

void ComputeStats::Add(const ComputeStats& other) {
  source_tokens += other.source_tokens;
  target_tokens += other.target_tokens;
  decode_steps += other.decode_steps;
  modules_total += other.modules_total;
  modules_skipped += other.modules_skipped;
  compute_ms += other.compute_ms;
  tail_rewrites += other.tail_rewrites;
  tail_bytes_erased += other.tail_bytes_erased;
  forced_writes += other.forced_writes;
}

const char* FinalReasonName(FinalReason reason) {
  switch (reason) {
    case FinalReason::kBoundary:
      return "boundary";
    case FinalReason::kClient:
      return "client";
    case FinalReason::kHalfClose:
      return "half_close";
    case FinalReason::kLength:
      return "length";
    case FinalReason::kSessionEnd:
      return "session_end";
  }
  return "?";
}

const char* NoticeCodeName(NoticeCode code) {
  switch (code) {
    case NoticeCode::kDraining:
      return "DRAINING";
    case NoticeCode::kDurationSoon:
      return "DURATION_SOON";
    case NoticeCode::kIdleSoon:
      return "IDLE_SOON";
    case NoticeCode::kLagForced:
      return "LAG_FORCED";
    case NoticeCode::kSegmentCut:
      return "SEGMENT_CUT";
    case NoticeCode::kSourceBehind:
      return "SOURCE_BEHIND";
    case NoticeCode::kDeltasMerged:
      return "DELTAS_MERGED";
    case NoticeCode::kRepetitionStopped:
      return "REPETITION_STOPPED";
  }
  return "?";
}

const char* EventKindName(const EventBody& body) {
  static constexpr const char* kNames[] = {"queued", "started",    "progress", "delta",
                                           "final",  "flush_done", "notice",   "ended"};
  static_assert(std::variant_size_v<EventBody> == sizeof(kNames) / sizeof(kNames[0]));
  return kNames[body.index()];
}

}  // namespace dragoman::server
