// Holds the lock of a session for one call; afterwards arms its timer and does what was deferred.
// Private to server/session.
#pragma once

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "server/session/session.h"

namespace dragoman::server {

class ABSL_SCOPED_LOCKABLE Session::Scope {
 public:
  explicit Scope(Session* session) ABSL_EXCLUSIVE_LOCK_FUNCTION(session->mu_) : session_(session) {
    session_->mu_.Lock();
  }
  ~Scope() ABSL_UNLOCK_FUNCTION() {
    const TimePoint next = session_->NextDeadline();
    const bool arm = next < session_->armed_;
    if (arm) session_->armed_ = next;
    std::vector<std::function<void()>> deferred = std::exchange(session_->deferred_, {});
    const std::vector<TraceSpan> spans = std::exchange(session_->ended_spans_, {});
    const bool wake = std::exchange(session_->wake_, false);
    session_->mu_.Unlock();
    if (arm) {
      session_->parts_.delivery->CallAt(next, [weak = session_->weak_from_this()] {
        if (const auto session = weak.lock()) session->OnTimer();
      });
    }
    for (const TraceSpan& span : spans) session_->parts_.traces->OnSpan(span);
    if (wake) {
      if (const auto transport = session_->transport_.lock()) transport->Wake();
    }
    for (const auto& function : deferred) function();
  }
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

 private:
  Session* const session_;
};

// Takes events on the engine thread and hands them to the delivery thread.
class Session::EngineSink final : public model::SequenceSink {
 public:
  explicit EngineSink(DeliveryQueue* delivery) : delivery_(delivery) {}
  // Before Engine::Open(). The session table keeps the session until SequenceEnded was handled.
  void Bind(std::weak_ptr<Session> session) { session_ = std::move(session); }
  void OnEvent(model::SequenceId, model::SequenceEvent event) override {
    if (auto session = session_.lock()) delivery_->Post(std::move(session), std::move(event));
  }

 private:
  DeliveryQueue* const delivery_;
  std::weak_ptr<Session> session_;
};

}  // namespace dragoman::server
