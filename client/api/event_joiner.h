// Makes the events of several sessions those of one: numbers that start again in each session are
// moved to where the whole stream stands. A pure class over messages. One thread only.
#pragma once

#include <cstdint>

#include "proto/dragoman/v1/interpreter.pb.h"

namespace dragoman::client {

class EventJoiner {
 public:
  // A new session begins; its source starts after the last final.
  void BeginSession();
  // The event as one of the whole stream. Finals move the place where the next session begins.
  v1::StreamEvent Join(v1::StreamEvent event);

  // Bytes of source, from its start, that have a final once Join() has seen it.
  uint64_t final_bytes() const { return final_end_.bytes(); }
  // Where a byte of the current session lies in the whole source.
  uint64_t ToWhole(uint32_t session_bytes) const { return base_.bytes() + session_bytes; }

 private:
  void Move(v1::SourcePosition* position) const;
  template <typename Words>
  void MoveStamps(Words* words) const;

  uint32_t seq_ = 0;
  uint32_t time_ms_ = 0;       // of the last event
  uint32_t base_time_ms_ = 0;  // what the time of the session is added to
  uint32_t segments_ = 0;      // finals so far
  uint32_t base_segments_ = 0;
  v1::SourcePosition base_;
  v1::SourcePosition final_end_;
  bool resumed_ = false;
};

}  // namespace dragoman::client
