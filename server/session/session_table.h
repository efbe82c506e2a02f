// All sessions of the replica that are not settled: keeps them alive, counts them, tells them of a
// drain. Thread-safe; calls sessions without its lock.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "server/session/session.h"

namespace dragoman::server {

class SessionTable final : public SessionRegistry {
 public:
  struct Counts {
    size_t active = 0;  // paused ones included
    size_t paused = 0;
    size_t queued = 0;
    size_t ending = 0;  // source side over, events or status on their way
  };

  void Add(std::shared_ptr<Session> session);
  void OnSettled(Session* session) override;

  std::vector<std::shared_ptr<Session>> sessions() const;
  Counts counts() const;
  size_t size() const;
  // Waits until no session is left, `interrupted()` holds after Interrupt(), or the deadline.
  // True when the table is empty.
  bool WaitUntilEmpty(Clock* clock, TimePoint deadline, const std::function<bool()>& interrupted);
  void Interrupt();

 private:
  mutable Mutex mu_;
  CondVar changed_;
  std::map<Session*, std::shared_ptr<Session>> sessions_ ABSL_GUARDED_BY(mu_);
};

}  // namespace dragoman::server
