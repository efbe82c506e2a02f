#include "server/lifecycle/periodic_task.h"

#include <utility>

#include "base/thread_name.h"

namespace dragoman::server {

PeriodicTask::PeriodicTask(std::string name, Clock* clock, Duration interval,
                           std::function<void()> function)
    : name_(std::move(name)), clock_(clock), interval_(interval), function_(std::move(function)) {}

void PeriodicTask::Start() {
  thread_ = std::thread([this] {
    NameThisThread(name_.c_str());
    Run();
  });
}

void PeriodicTask::Stop() {
  {
    const MutexLock lock(&mu_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void PeriodicTask::Run() {
  while (true) {
    {
      const MutexLock lock(&mu_);
      if (clock_->WaitUntil(&mu_, &changed_, clock_->Now() + interval_,
                            [this] { return stopping_; })) {
        return;
      }
    }
    function_();
  }
}

}  // namespace dragoman::server
