// SIGTERM and SIGINT as calls on an ordinary thread. No handler runs: the signals are blocked in
// the whole process and read from a descriptor.
#pragma once

#include <functional>
#include <memory>
#include <thread>

#include "base/status.h"

namespace dragoman::server {

class SignalWatcher {
 public:
  // Call before any other thread exists: threads inherit the blocked signals.
  // `on_signal` runs on the watcher's thread, once per signal, with its number.
  static absl::StatusOr<std::unique_ptr<SignalWatcher>> Start(std::function<void(int)> on_signal);
  ~SignalWatcher();
  SignalWatcher(const SignalWatcher&) = delete;
  SignalWatcher& operator=(const SignalWatcher&) = delete;

 private:
  SignalWatcher(int signals, int stop, std::function<void(int)> on_signal);
  void Run();

  const int signals_;  // signalfd
  const int stop_;     // eventfd
  const std::function<void(int)> on_signal_;
  std::thread thread_;
};

}  // namespace dragoman::server
