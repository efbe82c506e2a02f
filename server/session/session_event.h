// What a session tells its client, as plain structs. One to one with the events of the wire
// contract that text needs; server/rpc converts.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "server/session/server_error.h"
#include "server/session/session_config.h"

namespace dragoman::server {

// A place in the source, counted from the start of the session.
struct SourcePosition {
  uint32_t bytes = 0;
  uint32_t words = 0;
  uint32_t tokens = 0;
  bool operator==(const SourcePosition&) const = default;
};

struct WordStamp {
  uint32_t begin = 0;  // bytes in the segment text, without the leading blank
  uint32_t end = 0;
  uint32_t read_words = 0;  // source words of the session read when the word was written
  uint32_t emit_ms = 0;
};

struct ComputeStats {
  uint32_t source_tokens = 0;
  uint32_t target_tokens = 0;
  uint32_t decode_steps = 0;
  uint32_t modules_total = 0;
  uint32_t modules_skipped = 0;
  uint32_t compute_ms = 0;
  uint32_t tail_rewrites = 0;
  uint32_t tail_bytes_erased = 0;
  uint32_t forced_writes = 0;  // words that max_lag_words made the engine write

  void Add(const ComputeStats& other);
};

struct Usage {
  uint32_t source_words = 0;
  uint32_t source_tokens = 0;
  uint32_t target_words = 0;
  uint32_t target_tokens = 0;
  uint32_t segments = 0;
  uint32_t events = 0;
  uint32_t queue_wait_ms = 0;
  uint32_t first_write_ms = 0;  // from the config to the first stable text; 0: nothing was written
  uint32_t kv_pages_peak = 0;
  ComputeStats compute;
};

struct QueuedEvent {
  uint32_t ahead = 0;
  uint32_t wait_limit_ms = 0;
};
struct StartedEvent {
  std::string session_id;
  std::string model;
  std::string digest;
  uint32_t slot = 0;
  uint32_t queue_wait_ms = 0;
  std::shared_ptr<const SessionConfig> effective;
};
struct ProgressEvent {
  SourcePosition received;
  SourcePosition encoded;
  uint32_t lag_words = 0;
  uint32_t lag_ms = 0;
};
struct DeltaEvent {
  uint32_t segment = 0;
  uint32_t stable_offset = 0;
  std::string stable;
  std::string unstable;
  SourcePosition read;
  std::vector<WordStamp> words;  // kept only when the client asked for them
};
// Same numbers as dragoman.v1.FinalReason.
enum class FinalReason { kBoundary = 1, kClient, kHalfClose, kLength, kSessionEnd };
const char* FinalReasonName(FinalReason reason);
struct FinalEvent {
  uint32_t segment = 0;
  std::string text;
  FinalReason reason = FinalReason::kBoundary;
  uint32_t client_id = 0;
  SourcePosition source_begin;
  SourcePosition source_end;
  std::vector<WordStamp> words;
  bool has_stats = false;
  ComputeStats stats;
};
struct FlushDoneEvent {
  uint32_t id = 0;
};
// Same numbers as dragoman.v1.NoticeCode.
enum class NoticeCode {
  kDraining = 1,
  kDurationSoon = 2,
  kIdleSoon = 3,
  kLagForced = 4,
  kSegmentCut = 6,
  kSourceBehind = 7,
  kDeltasMerged = 8,
  kRepetitionStopped = 10,
};
const char* NoticeCodeName(NoticeCode code);
struct NoticeEvent {
  NoticeCode code = NoticeCode::kDraining;
  std::string message;
  uint32_t segment = 0;
  uint32_t value_ms = 0;
  std::map<std::string, std::string> details;
};
struct EndedEvent {
  EndReason reason = EndReason::kNone;
  Usage usage;
  SourcePosition source_received;
  SourcePosition source_translated;
};

using EventBody = std::variant<QueuedEvent, StartedEvent, ProgressEvent, DeltaEvent, FinalEvent,
                               FlushDoneEvent, NoticeEvent, EndedEvent>;
// "queued", "started", "progress", "delta", "final", "flush_done", "notice", "ended".
const char* EventKindName(const EventBody& body);

struct SessionEvent {
  uint32_t seq = 0;
  uint32_t time_ms = 0;
  EventBody body;
};

}  // namespace dragoman::server
