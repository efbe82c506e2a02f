// The one thread that turns engine events into client events. The engine only enqueues; text is
// made here. The same thread runs the timers of sessions, so no thread waits per session and
// nothing polls.
//
// Thread-safe. Calls into targets and functions happen on the delivery thread without a lock.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "model/engine/sequence_event.h"

namespace dragoman::server {

class DeliveryTarget {
 public:
  virtual ~DeliveryTarget() = default;
  virtual void OnSequenceEvent(model::SequenceEvent event) = 0;
  // After the last event of a batch for this target: the time to wake its transport once.
  virtual void OnBatchEnd() = 0;
};

class DeliveryQueue {
 public:
  // `clock` must outlive the queue.
  explicit DeliveryQueue(Clock* clock) : clock_(clock) {}
  ~DeliveryQueue() { Stop(); }

  // Called on the engine thread: push and notify.
  void Post(std::shared_ptr<DeliveryTarget> target, model::SequenceEvent event);
  void Call(std::function<void()> function);
  using TimerId = std::pair<TimePoint, uint64_t>;
  // Runs `function` at `time` or soon after.
  TimerId CallAt(TimePoint time, std::function<void()> function);
  // Takes a timer back. One that is already on its way is not stopped: its function checks.
  void Drop(const TimerId& timer);
  // Timers that wait for their time.
  size_t timers() const;

  void Start();
  // Runs what is queued, drops timers, joins. Nothing posted later is run.
  void Stop();

  // Runs everything that is queued or due. For tests, without a running thread.
  void RunPending();

 private:
  // An event for a target, or a function when there is no target.
  struct Item {
    std::shared_ptr<DeliveryTarget> target;
    model::SequenceEvent event;
    std::function<void()> function;
  };

  void Run();
  std::vector<Item> TakeDue() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  static void Execute(std::vector<Item> items);

  Clock* const clock_;
  std::thread thread_;
  mutable Mutex mu_;
  CondVar wake_;
  std::vector<Item> items_ ABSL_GUARDED_BY(mu_);
  std::map<TimerId, std::function<void()>> timers_ ABSL_GUARDED_BY(mu_);
  uint64_t last_timer_ ABSL_GUARDED_BY(mu_) = 0;
  bool earlier_timer_ ABSL_GUARDED_BY(mu_) = false;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace dragoman::server
