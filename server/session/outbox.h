// Events of one session that were made and not yet sent. Deltas of a segment that wait here merge
// (stable text joined, newest tail kept), so a slow reader costs no more than the text itself.
// One thread only (the session's lock).
#pragma once

#include <cstddef>
#include <deque>
#include <optional>

#include "base/clock.h"
#include "server/session/session_event.h"

namespace dragoman::server {

class Outbox {
 public:
  // Deltas nearer than `min_interval` to the one before wait for it, unless something follows them.
  explicit Outbox(Duration min_interval) : min_interval_(min_interval) {}

  struct Taken {
    EventBody body;
    TimePoint made{};  // the oldest part of a merged delta counts
  };

  // True when the event was merged into a waiting delta.
  bool Push(EventBody body, TimePoint now);
  // The next event that may leave at `now`. `hurry` does not wait for the interval.
  std::optional<Taken> Take(TimePoint now, bool hurry);
  // When a delta that is held back by the interval may leave; TimePoint::max() if none is.
  TimePoint held_until() const;
  void Clear();

  bool empty() const { return events_.empty(); }
  size_t size() const { return events_.size(); }
  size_t bytes() const { return bytes_; }

 private:
  const Duration min_interval_;
  std::deque<Taken> events_;
  size_t bytes_ = 0;                     // text in events_
  std::optional<TimePoint> last_delta_;  // when the last delta left
};

}  // namespace dragoman::server
