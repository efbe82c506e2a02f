// Holds a server to the promises of one live session (numbers as in docs/ARCHITECTURE.md):
//   1 seq is 1, 2, 3... and time_ms never falls
//   2 stable text only grows, every offset fits, and a final equals the joined deltas
//   3 exactly one final per track and opened segment, in order, and nothing after it
//   4 no unstable tail unless it was asked for
//   5 SessionEnded comes once and last, and its usage equals the sums over the events
//   6 a refused stream gets its status alone; status OK if and only if the client half-closed and
//     all source was translated
// and to the order of the contract: SessionStarted first, known tracks, ids that were sent, answers
// to every flush and end_segment.
// A pure class over messages: no transport, no time. One thread only.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "base/status.h"
#include "client/api/call_status.h"
#include "proto/dragoman/v1/interpreter.pb.h"

namespace dragoman::client {

class InvariantChecker {
 public:
  explicit InvariantChecker(const v1::StreamConfig& config);

  // What the client did, told before the message can reach the server.
  void OnTextSent(size_t bytes) { sent_bytes_ += bytes; }
  void OnFlushSent(uint32_t id) { open_flushes_.insert(id); }
  void OnEndSegmentSent(uint32_t id) { open_end_segments_.insert(id); }
  void OnHalfClose() { half_closed_ = true; }

  // The next event of the stream. Errors: Internal, "invariant N: what was wrong"; never user text.
  // After an error the object has no further meaning.
  absl::Status OnEvent(const v1::StreamEvent& event);

  // The end of the call. Errors: as OnEvent().
  absl::Status OnEnd(const CallStatus& status) const;

  bool started() const { return started_; }
  bool ended() const { return ended_.has_value(); }

 private:
  struct TrackState {
    uint32_t finals = 0;                       // segments 1..finals are closed
    std::map<uint32_t, std::string> segments;  // open ones: stable text so far
  };
  // What the finals say, to be compared with Usage.
  struct Sums {
    uint32_t source_words = 0;
    uint32_t target_words = 0;  // by their stamps
    v1::ComputeStats compute;
  };

  absl::Status CheckStarted(const v1::SessionStarted& started);
  absl::Status CheckDelta(const v1::TextDelta& delta);
  absl::Status CheckFinal(const v1::SegmentFinal& final);
  absl::Status CheckFlushDone(const v1::FlushDone& done);
  absl::Status CheckEnded(const v1::StreamEvent& event);
  absl::Status CheckUsage(const v1::SessionEnded& ended, uint32_t seq) const;
  absl::Status CheckStamps(const google::protobuf::RepeatedPtrField<v1::WordStamp>& words,
                           size_t length) const;
  absl::StatusOr<TrackState*> FindTrack(uint32_t track, uint32_t segment);

  const v1::OutputOptions output_;
  const bool report_queue_;

  uint64_t sent_bytes_ = 0;
  bool half_closed_ = false;
  std::set<uint32_t> open_flushes_;                  // sent and not answered
  std::set<uint32_t> open_end_segments_;             // sent and not answered by every track
  std::map<uint32_t, uint32_t> end_segment_finals_;  // id -> tracks that answered

  uint32_t last_seq_ = 0;
  uint32_t last_time_ms_ = 0;
  bool started_ = false;
  std::map<uint32_t, TrackState> tracks_;
  Sums sums_;
  bool any_text_ = false;
  std::optional<v1::SessionEnded> ended_;
};

}  // namespace dragoman::client
