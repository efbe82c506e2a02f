#include "client/cli/interrupt_watch.h"

#include <poll.h>
#include <pthread.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <utility>

#include "base/check.h"

namespace dragoman::client {
namespace {

int BlockAndOpen() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

}  // namespace

InterruptWatch::InterruptWatch(std::function<void(int)> on_interrupt)
    : on_interrupt_(std::move(on_interrupt)), signal_fd_(BlockAndOpen()) {
  DRAGOMAN_CHECK_MSG(signal_fd_ >= 0, "no descriptor for a signalfd");
  thread_ = std::thread([this] { Run(); });
}

InterruptWatch::~InterruptWatch() {
  stop_.Set();
  thread_.join();
  close(signal_fd_);
}

void InterruptWatch::Run() {
  int count = 0;
  while (true) {
    pollfd fds[2] = {{signal_fd_, POLLIN, 0}, {stop_.fd(), POLLIN, 0}};
    if (poll(fds, 2, -1) < 0 && errno != EINTR) return;
    if (fds[1].revents != 0) return;
    signalfd_siginfo info;
    while (read(signal_fd_, &info, sizeof(info)) == sizeof(info)) on_interrupt_(++count);
  }
}

}  // namespace dragoman::client
