#include "client/cli/session_display.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace dragoman::client {

bool WriteFully(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return true;
}

SessionDisplay::SessionDisplay(std::unique_ptr<OutputView> view, int fd, Clock* clock)
    : fd_(fd), clock_(clock), start_(clock->Now()), view_(std::move(view)) {}

Duration SessionDisplay::Elapsed() {
  winsize size{};
  if (ioctl(fd_, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) view_->set_columns(size.ws_col);
  return clock_->Now() - start_;
}

bool SessionDisplay::Write(const std::string& bytes) {
  if (open_ && !WriteFully(fd_, bytes)) open_ = false;
  return open_;
}

bool SessionDisplay::ShowSource(std::string_view text) {
  MutexLock lock(&mu_);
  const Duration elapsed = Elapsed();
  return Write(view_->OnSource(text, elapsed));
}

bool SessionDisplay::ShowSourceEnd() {
  MutexLock lock(&mu_);
  const Duration elapsed = Elapsed();
  return Write(view_->OnSourceEnd(elapsed));
}

bool SessionDisplay::ShowEvent(const v1::StreamEvent& event) {
  MutexLock lock(&mu_);
  const Duration elapsed = Elapsed();
  return Write(view_->OnEvent(event, elapsed));
}

bool SessionDisplay::ShowEnd() {
  MutexLock lock(&mu_);
  const bool shown = Write(view_->OnEnd());
  open_ = false;  // source that was still on its way is shown no more
  return shown;
}

}  // namespace dragoman::client
