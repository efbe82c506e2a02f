#include "server/admission/admission.h"

#include <algorithm>
#include <utility>

namespace dragoman::server {

Admission::Admission(const AdmissionOptions& options, Clock* clock)
    : options_(options), clock_(clock) {
  for (size_t slot = 0; slot < options_.slots; ++slot) free_slots_.insert(static_cast<int>(slot));
}

int Admission::TakeSlot() {
  const int slot = *free_slots_.begin();
  free_slots_.erase(free_slots_.begin());
  return slot;
}

Admission::Waiter Admission::PopNext() {
  ClientQueue& front = turns_.front();
  Waiter waiter = std::move(front.waiters.front());
  front.waiters.pop_front();
  if (front.waiters.empty()) {
    turns_.pop_front();
  } else {
    turns_.splice(turns_.end(), turns_, turns_.begin());
  }
  --queued_;
  return waiter;
}

Admission::Answer Admission::Request(const std::string& client, TimePoint deadline,
                                     Callback callback) {
  const MutexLock lock(&mu_);
  Answer answer;
  answer.queued = queued_;
  if (draining_) {
    answer.kind = Answer::Kind::kDraining;
    return answer;
  }
  // A free slot goes to the queue first; with a queue there is none for longer than a moment.
  if (!free_slots_.empty() && queued_ == 0) {
    answer.kind = Answer::Kind::kAdmitted;
    answer.slot = TakeSlot();
    return answer;
  }
  if (queued_ >= options_.queue_depth || deadline <= clock_->Now()) {
    answer.kind = Answer::Kind::kFull;
    return answer;
  }
  auto found = std::find_if(turns_.begin(), turns_.end(),
                            [&](const ClientQueue& queue) { return queue.client == client; });
  if (found == turns_.end()) found = turns_.insert(turns_.end(), ClientQueue{client, {}});
  answer.kind = Answer::Kind::kQueued;
  answer.ticket = ++last_ticket_;
  found->waiters.push_back({answer.ticket, deadline, std::move(callback)});
  ++queued_;
  return answer;
}

bool Admission::Leave(uint64_t ticket) {
  Callback dropped;  // may own a session: dies outside the lock
  const MutexLock lock(&mu_);
  for (auto queue = turns_.begin(); queue != turns_.end(); ++queue) {
    for (auto waiter = queue->waiters.begin(); waiter != queue->waiters.end(); ++waiter) {
      if (waiter->ticket != ticket) continue;
      dropped = std::move(waiter->callback);
      queue->waiters.erase(waiter);
      if (queue->waiters.empty()) turns_.erase(queue);
      --queued_;
      return true;
    }
  }
  return false;
}

size_t Admission::Ahead(uint64_t ticket) const {
  const MutexLock lock(&mu_);
  // Its client's own streams before it, and of each other client one per turn until its turn.
  size_t turn = 0;
  size_t own = turns_.size();
  size_t index = 0;
  for (const ClientQueue& queue : turns_) {
    for (size_t i = 0; i < queue.waiters.size(); ++i) {
      if (queue.waiters[i].ticket == ticket) {
        turn = i;
        own = index;
      }
    }
    ++index;
  }
  if (own == turns_.size()) return 0;
  size_t ahead = turn;
  index = 0;
  for (const ClientQueue& queue : turns_) {
    if (index != own) ahead += std::min(queue.waiters.size(), turn + (index < own ? 1 : 0));
    ++index;
  }
  return ahead;
}

void Admission::Release(int slot) {
  Waiter next;
  int taken = -1;
  {
    const MutexLock lock(&mu_);
    if (slot < 0 || static_cast<size_t>(slot) >= options_.slots ||
        !free_slots_.insert(slot).second) {
      ++double_frees_;
      return;
    }
    if (queued_ > 0 && !draining_) {
      next = PopNext();
      taken = TakeSlot();
    }
  }
  if (taken >= 0) next.callback(Outcome::kAdmitted, taken);
}

void Admission::ExpireDue() {
  std::vector<Callback> expired;
  {
    const MutexLock lock(&mu_);
    const TimePoint now = clock_->Now();
    for (auto queue = turns_.begin(); queue != turns_.end();) {
      for (auto waiter = queue->waiters.begin(); waiter != queue->waiters.end();) {
        if (waiter->deadline > now) {
          ++waiter;
          continue;
        }
        expired.push_back(std::move(waiter->callback));
        waiter = queue->waiters.erase(waiter);
        --queued_;
      }
      queue = queue->waiters.empty() ? turns_.erase(queue) : std::next(queue);
    }
  }
  for (const Callback& callback : expired) callback(Outcome::kTimeout, -1);
}

void Admission::StartDrain(TimePoint end) {
  std::vector<Callback> refused;
  {
    const MutexLock lock(&mu_);
    draining_ = true;
    drain_end_ = end;
    for (ClientQueue& queue : turns_) {
      for (Waiter& waiter : queue.waiters) refused.push_back(std::move(waiter.callback));
    }
    turns_.clear();
    queued_ = 0;
  }
  for (const Callback& callback : refused) callback(Outcome::kDraining, -1);
}

bool Admission::draining() const {
  const MutexLock lock(&mu_);
  return draining_;
}

Duration Admission::drain_left() const {
  const MutexLock lock(&mu_);
  if (!draining_) return Duration::zero();
  return std::max(drain_end_ - clock_->Now(), Duration::zero());
}

AdmissionStats Admission::stats() const {
  const MutexLock lock(&mu_);
  return {options_.slots, options_.slots - free_slots_.size(), queued_, double_frees_, draining_};
}

}  // namespace dragoman::server
