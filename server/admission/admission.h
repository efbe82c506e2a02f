// Who may start: slots, and a queue in front of them that is first in, first out per client and
// round robin over clients. No network, no threads of its own.
//
// Thread-safe. Callbacks are called without the lock, on the thread that caused them: the one that
// releases a slot, expires the queue or starts the drain.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"

namespace dragoman::server {

struct AdmissionOptions {
  size_t slots = 64;
  size_t queue_depth = 64;
};

struct AdmissionStats {
  size_t slots = 0;
  size_t slots_used = 0;
  size_t queued = 0;
  uint64_t double_frees = 0;  // releases of a slot that was free; must stay 0
  bool draining = false;
};

class Admission {
 public:
  enum class Outcome { kAdmitted, kTimeout, kDraining };
  // slot: 0..slots-1 when admitted, else -1. Called at most once.
  using Callback = std::function<void(Outcome outcome, int slot)>;

  struct Answer {
    enum class Kind { kAdmitted, kQueued, kFull, kDraining };
    Kind kind = Kind::kFull;
    int slot = -1;        // kAdmitted
    uint64_t ticket = 0;  // kQueued
    size_t queued = 0;    // streams in the queue, for error details
  };

  // `clock` must outlive the admission.
  Admission(const AdmissionOptions& options, Clock* clock);

  // Takes a slot, or a place in the queue until `deadline`. A deadline that is over does not queue.
  Answer Request(const std::string& client, TimePoint deadline, Callback callback);
  // Gives a place up. False when it has had its outcome already.
  bool Leave(uint64_t ticket);
  // Streams that will be served before this one; 0 for an unknown ticket.
  size_t Ahead(uint64_t ticket) const;
  // Returns a slot and admits the next in line.
  void Release(int slot);
  // Reports kTimeout to all whose deadline is over.
  void ExpireDue();
  // From now on nobody is admitted; the queue gets kDraining. `end` is when the last streams are
  // cut.
  void StartDrain(TimePoint end);
  bool draining() const;
  // Zero when not draining or over.
  Duration drain_left() const;
  AdmissionStats stats() const;

 private:
  struct Waiter {
    uint64_t ticket = 0;
    TimePoint deadline{};
    Callback callback;
  };
  struct ClientQueue {
    std::string client;
    std::deque<Waiter> waiters;  // never empty
  };

  int TakeSlot() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  Waiter PopNext() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const AdmissionOptions options_;
  Clock* const clock_;
  mutable Mutex mu_;
  std::set<int> free_slots_ ABSL_GUARDED_BY(mu_);
  // In the order of turns: the front client is served next and then goes to the back.
  std::list<ClientQueue> turns_ ABSL_GUARDED_BY(mu_);
  size_t queued_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t last_ticket_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t double_frees_ ABSL_GUARDED_BY(mu_) = 0;
  bool draining_ ABSL_GUARDED_BY(mu_) = false;
  TimePoint drain_end_ ABSL_GUARDED_BY(mu_){};
};

}  // namespace dragoman::server
