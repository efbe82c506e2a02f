// Ctrl-C as calls in an ordinary thread, with no work in a signal handler.
#pragma once

#include <functional>
#include <thread>

#include "client/cli/wake_event.h"

namespace dragoman::client {

// Make it before any other thread of the process: threads inherit the blocked signal.
class InterruptWatch {
 public:
  // `on_interrupt` gets 1, 2, 3... from the thread of the watch.
  explicit InterruptWatch(std::function<void(int)> on_interrupt);
  // Joins. SIGINT stays blocked; the process is about to end.
  ~InterruptWatch();
  InterruptWatch(const InterruptWatch&) = delete;
  InterruptWatch& operator=(const InterruptWatch&) = delete;

 private:
  void Run();

  const std::function<void(int)> on_interrupt_;
  WakeEvent stop_;
  const int signal_fd_;
  std::thread thread_;
};

}  // namespace dragoman::client
