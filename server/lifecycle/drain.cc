#include "server/lifecycle/drain.h"

#include <algorithm>
#include <utility>

namespace dragoman::server {

StopSequence::StopSequence(Clock* clock, DrainOptions options, DrainHooks hooks,
                           std::function<void()> interrupt_wait)
    : clock_(clock),
      options_(options),
      hooks_(std::move(hooks)),
      interrupt_wait_(std::move(interrupt_wait)) {}

void StopSequence::RequestStop() {
  {
    const MutexLock lock(&mu_);
    ++requests_;
  }
  changed_.notify_all();
  interrupt_wait_();
}

bool StopSequence::cut() const {
  const MutexLock lock(&mu_);
  return requests_ > 1;
}

StopSequence::Result StopSequence::Run() {
  {
    const MutexLock lock(&mu_);
    clock_->WaitUntil(&mu_, &changed_, TimePoint::max(), [this] { return requests_ > 0; });
  }
  const TimePoint begin = clock_->Now();
  const TimePoint end = begin + options_.grace + options_.drain;
  hooks_.stop_serving();
  hooks_.refuse_new(end);
  hooks_.notify_sessions(end - begin);
  {
    const MutexLock lock(&mu_);
    clock_->WaitUntil(&mu_, &changed_, begin + options_.grace, [this] { return requests_ > 1; });
  }
  hooks_.stop_listening();
  const TimePoint last_call = std::max(begin + options_.grace, end - options_.last_call);
  const auto interrupted = [this] { return cut(); };
  Result result;
  result.drained = hooks_.wait_sessions(last_call, interrupted);
  if (result.drained) return result;
  result.cut = hooks_.close_sessions();
  // Time for finals and statuses to leave, also when a second request came.
  const TimePoint last = std::max(clock_->Now(), last_call) + options_.last_call;
  hooks_.wait_sessions(last, [] { return false; });
  return result;
}

}  // namespace dragoman::server
