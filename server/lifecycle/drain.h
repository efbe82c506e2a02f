// The way from "stop" to "gone": refuse new streams, tell the running ones, wait, close the rest.
// Knows neither sockets nor signals: hooks do the work, so that tests can drive the clock.
#pragma once

#include <functional>

#include "base/clock.h"
#include "base/mutex.h"

namespace dragoman::server {

struct DrainOptions {
  Duration grace = std::chrono::seconds(10);     // still listening, all new streams refused
  Duration drain = std::chrono::seconds(600);    // for running sessions, after the grace
  Duration last_call = std::chrono::seconds(2);  // sessions are closed this long before the end
};

struct DrainHooks {
  std::function<void()> stop_serving;                  // health, readiness
  std::function<void(TimePoint end)> refuse_new;       // admission
  std::function<void(Duration left)> notify_sessions;  // NOTICE_DRAINING
  std::function<void()> stop_listening;                // after the grace: GOAWAY, listener closed
  // Waits until no session is left, the deadline, or `interrupted()`; true when none is left.
  std::function<bool(TimePoint deadline, const std::function<bool()>& interrupted)> wait_sessions;
  std::function<size_t()> close_sessions;  // END_DRAIN; how many there were
};

// Thread-safe: one thread is in Run(), any thread calls RequestStop().
class StopSequence {
 public:
  // `clock` must outlive the sequence. `interrupt_wait` makes wait_sessions look again.
  StopSequence(Clock* clock, DrainOptions options, DrainHooks hooks,
               std::function<void()> interrupt_wait);

  // First call: drain. Second call: cut at once. Safe from any thread, not from a signal handler.
  void RequestStop();

  struct Result {
    bool drained = false;  // all sessions ended by themselves
    size_t cut = 0;        // sessions that had to be closed
  };
  // Blocks until RequestStop(), then drains.
  Result Run();

 private:
  bool cut() const;

  Clock* const clock_;
  const DrainOptions options_;
  const DrainHooks hooks_;
  const std::function<void()> interrupt_wait_;
  mutable Mutex mu_;
  CondVar changed_;
  int requests_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace dragoman::server
