#include "server/lifecycle/signal_watcher.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace dragoman::server {

absl::StatusOr<std::unique_ptr<SignalWatcher>> SignalWatcher::Start(
    std::function<void(int)> on_signal) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  if (pthread_sigmask(SIG_BLOCK, &set, nullptr) != 0) {
    return absl::InternalError("signals cannot be blocked");
  }
  const int signals = signalfd(-1, &set, SFD_CLOEXEC);
  const int stop = eventfd(0, EFD_CLOEXEC);
  if (signals < 0 || stop < 0) {
    const std::string reason = std::strerror(errno);
    if (signals >= 0) close(signals);
    if (stop >= 0) close(stop);
    return absl::InternalError(absl::StrCat("signalfd or eventfd: ", reason));
  }
  return std::unique_ptr<SignalWatcher>(new SignalWatcher(signals, stop, std::move(on_signal)));
}

SignalWatcher::SignalWatcher(int signals, int stop, std::function<void(int)> on_signal)
    : signals_(signals), stop_(stop), on_signal_(std::move(on_signal)) {
  thread_ = std::thread([this] { Run(); });
}

SignalWatcher::~SignalWatcher() {
  eventfd_write(stop_, 1);
  thread_.join();
  close(signals_);
  close(stop_);
}

void SignalWatcher::Run() {
  pollfd files[2] = {{signals_, POLLIN, 0}, {stop_, POLLIN, 0}};
  while (true) {
    if (poll(files, 2, -1) < 0) {
      if (errno == EINTR) continue;
      return;
    }
    if (files[1].revents != 0) return;
    signalfd_siginfo info;
    if (read(signals_, &info, sizeof(info)) == static_cast<ssize_t>(sizeof(info))) {
      on_signal_(static_cast<int>(info.ssi_signo));
    }
  }
}

}  // namespace dragoman::server
