// Shows a running session: one view, one file descriptor, one clock.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/mutex.h"
#include "client/cli/output_view.h"

namespace dragoman::client {

// Thread-safe: source comes from one thread, events from another. Writing blocks as `fd` does.
class SessionDisplay {
 public:
  // `clock` outlives the display. `fd` stays open and is not closed here.
  SessionDisplay(std::unique_ptr<OutputView> view, int fd, Clock* clock);

  // Each returns false once the output is gone (a closed pipe): nobody reads any more.
  bool ShowSource(std::string_view text);
  bool ShowSourceEnd();
  bool ShowEvent(const v1::StreamEvent& event);
  bool ShowEnd();

 private:
  Duration Elapsed() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool Write(const std::string& bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const int fd_;
  Clock* const clock_;
  const TimePoint start_;
  Mutex mu_;
  const std::unique_ptr<OutputView> view_ ABSL_PT_GUARDED_BY(mu_);
  bool open_ ABSL_GUARDED_BY(mu_) = true;
};

// Writes all of `bytes`; false when the other side is gone.
bool WriteFully(int fd, std::string_view bytes);

}  // namespace dragoman::client
