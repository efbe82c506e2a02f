#include "server/session/delivery_queue.h"

#include <utility>

#include "base/thread_name.h"

namespace dragoman::server {

void DeliveryQueue::Post(std::shared_ptr<DeliveryTarget> target, model::SequenceEvent event) {
  {
    const MutexLock lock(&mu_);
    Item& item = items_.emplace_back();
    item.target = std::move(target);
    item.event = std::move(event);
  }
  wake_.notify_one();
}

void DeliveryQueue::Call(std::function<void()> function) {
  {
    const MutexLock lock(&mu_);
    items_.emplace_back().function = std::move(function);
  }
  wake_.notify_one();
}

DeliveryQueue::TimerId DeliveryQueue::CallAt(TimePoint time, std::function<void()> function) {
  TimerId timer;
  bool wake = false;
  {
    const MutexLock lock(&mu_);
    timer = {time, ++last_timer_};
    wake = timers_.empty() || time < timers_.begin()->first.first;
    timers_.emplace(timer, std::move(function));
    earlier_timer_ = earlier_timer_ || wake;
  }
  if (wake) wake_.notify_one();
  return timer;
}

void DeliveryQueue::Drop(const TimerId& timer) {
  std::map<TimerId, std::function<void()>>::node_type dropped;  // dies outside the lock
  const MutexLock lock(&mu_);
  dropped = timers_.extract(timer);
}

size_t DeliveryQueue::timers() const {
  const MutexLock lock(&mu_);
  return timers_.size();
}

void DeliveryQueue::Start() {
  thread_ = std::thread([this] {
    NameThisThread("delivery");
    Run();
  });
}

void DeliveryQueue::Stop() {
  {
    const MutexLock lock(&mu_);
    stopping_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

std::vector<DeliveryQueue::Item> DeliveryQueue::TakeDue() {
  std::vector<Item> items;
  items.swap(items_);
  const TimePoint now = clock_->Now();
  while (!timers_.empty() && timers_.begin()->first.first <= now) {
    items.emplace_back().function = std::move(timers_.begin()->second);
    timers_.erase(timers_.begin());
  }
  return items;
}

void DeliveryQueue::Execute(std::vector<Item> items) {
  // Targets in the order of their first event; usually a handful.
  std::map<DeliveryTarget*, std::shared_ptr<DeliveryTarget>> touched;
  for (Item& item : items) {
    if (item.target != nullptr) {
      item.target->OnSequenceEvent(std::move(item.event));
      touched.emplace(item.target.get(), std::move(item.target));
    } else {
      item.function();
    }
  }
  for (const auto& [key, target] : touched) target->OnBatchEnd();
}

void DeliveryQueue::RunPending() {
  while (true) {
    std::vector<Item> items;
    {
      const MutexLock lock(&mu_);
      items = TakeDue();
    }
    if (items.empty()) return;
    Execute(std::move(items));
  }
}

void DeliveryQueue::Run() {
  while (true) {
    std::vector<Item> items;
    {
      const MutexLock lock(&mu_);
      const TimePoint deadline = timers_.empty() ? TimePoint::max() : timers_.begin()->first.first;
      clock_->WaitUntil(&mu_, &wake_, deadline,
                        [this] { return stopping_ || earlier_timer_ || !items_.empty(); });
      earlier_timer_ = false;
      if (stopping_ && items_.empty()) {
        timers_.clear();
        return;
      }
      items = TakeDue();
    }
    Execute(std::move(items));
  }
}

}  // namespace dragoman::server
