#include "server/session/session_table.h"

#include <utility>

namespace dragoman::server {

void SessionTable::Add(std::shared_ptr<Session> session) {
  const MutexLock lock(&mu_);
  Session* const key = session.get();
  sessions_.emplace(key, std::move(session));
}

void SessionTable::OnSettled(Session* session) {
  std::shared_ptr<Session> last;  // dies outside the lock
  {
    const MutexLock lock(&mu_);
    const auto found = sessions_.find(session);
    if (found == sessions_.end()) return;
    last = std::move(found->second);
    sessions_.erase(found);
  }
  changed_.notify_all();
}

std::vector<std::shared_ptr<Session>> SessionTable::sessions() const {
  std::vector<std::shared_ptr<Session>> result;
  const MutexLock lock(&mu_);
  result.reserve(sessions_.size());
  for (const auto& [key, session] : sessions_) result.push_back(session);
  return result;
}

SessionTable::Counts SessionTable::counts() const {
  Counts counts;
  for (const auto& session : sessions()) {
    switch (session->state()) {
      case SessionState::kWaiting:
      case SessionState::kQueued:
        ++counts.queued;
        break;
      case SessionState::kActive:
        ++counts.active;
        if (session->paused()) ++counts.paused;
        break;
      case SessionState::kClosing:
      case SessionState::kEnded:
        ++counts.ending;
        break;
    }
  }
  return counts;
}

size_t SessionTable::size() const {
  const MutexLock lock(&mu_);
  return sessions_.size();
}

bool SessionTable::WaitUntilEmpty(Clock* clock, TimePoint deadline,
                                  const std::function<bool()>& interrupted) {
  const MutexLock lock(&mu_);
  clock->WaitUntil(&mu_, &changed_, deadline, [&] { return sessions_.empty() || interrupted(); });
  return sessions_.empty();
}

void SessionTable::Interrupt() {
  { const MutexLock lock(&mu_); }  // a waiter is before its check or in its wait
  changed_.notify_all();
}

}  // namespace dragoman::server
