// A thread that calls a function again and again, with a pause between two calls. For what may
// block on files or sockets and so has no place on the delivery thread.
#pragma once

#include <functional>
#include <string>
#include <thread>

#include "base/clock.h"
#include "base/mutex.h"

namespace dragoman::server {

// Start() and Stop() from one thread.
class PeriodicTask {
 public:
  // `clock` must outlive the task. The first call comes one interval after Start().
  PeriodicTask(std::string name, Clock* clock, Duration interval, std::function<void()> function);
  ~PeriodicTask() { Stop(); }
  PeriodicTask(const PeriodicTask&) = delete;
  PeriodicTask& operator=(const PeriodicTask&) = delete;

  void Start();
  // Waits for a call that runs.
  void Stop();

 private:
  void Run();

  const std::string name_;
  Clock* const clock_;
  const Duration interval_;
  const std::function<void()> function_;
  Mutex mu_;
  CondVar changed_;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::thread thread_;
};

}  // namespace dragoman::server
