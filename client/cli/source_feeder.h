// Reads the source from a file descriptor and sends it as it arrives, in its own thread.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <thread>

#include "base/clock.h"
#include "client/api/resuming_stream.h"
#include "client/api/utf8_hold_back.h"
#include "client/cli/session_display.h"
#include "client/cli/wake_event.h"
#include "client/cli/word_pacer.h"

namespace dragoman::client {

struct SourceFeederOptions {
  // Words per second. Unset: each read() goes out as it comes.
  std::optional<double> rate;
  // End a segment after each line that is not blank (SEGMENT_CLIENT).
  bool line_segments = false;
};

// Start() and Stop() from any one thread each.
class SourceFeeder {
 public:
  // All borrowed things outlive the feeder; `fd` is read and not closed.
  SourceFeeder(int fd, const SourceFeederOptions& options, ResumingStream* stream,
               SessionDisplay* display, Clock* clock);
  // Stops, and waits for the thread.
  ~SourceFeeder();
  SourceFeeder(const SourceFeeder&) = delete;
  SourceFeeder& operator=(const SourceFeeder&) = delete;

  // Starts to read. At the end of the source, or after Stop(), the stream is half-closed.
  //   heartbeat_period: after so long without source the session is kept alive.
  void Start(std::chrono::milliseconds heartbeat_period);
  // No more source, also when more could be read. Before Start(): nothing will be read at all.
  void Stop() { stop_.Set(); }

 private:
  void Run(std::chrono::milliseconds heartbeat_period);
  bool ReadMore();      // false: end of the source
  bool SendDueWords();  // false: the session is over
  bool Send(const std::string& text);
  int PollTimeoutMs(TimePoint heartbeat_due);

  const int fd_;
  const SourceFeederOptions options_;
  ResumingStream* const stream_;
  SessionDisplay* const display_;
  Clock* const clock_;
  WakeEvent stop_;
  std::thread thread_;

  // The thread only.
  Utf8HoldBack hold_back_;
  std::optional<WordPacer> pacer_;
  std::string unpaced_;
  bool line_has_text_ = false;
  uint32_t last_segment_id_ = 0;
};

}  // namespace dragoman::client
