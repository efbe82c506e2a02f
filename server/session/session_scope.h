// Holds the lock of a session for one call; afterwards arms its timer and does what was deferred.
// Private to server/session.
#pragma once

#include <functional>
#include <memory>
#include <optional>
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
    ArmTimer();
    std::vector<std::function<void()>> deferred = std::exchange(session_->deferred_, {});
    const std::vector<TraceSpan> spans = std::exchange(session_->ended_spans_, {});
    const bool wake = std::exchange(session_->wake_, false);
    session_->mu_.Unlock();
    for (const TraceSpan& span : spans) session_->parts_.traces->OnSpan(span);
    if (wake) {
      if (const auto transport = session_->transport_.lock()) transport->Wake();
    }
    for (const auto& function : deferred) function();
  }
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

 private:
  // A timer that comes too early does no harm: it looks and is armed again.
  void ArmTimer() ABSL_EXCLUSIVE_LOCKS_REQUIRED(session_->mu_) {
    std::optional<DeliveryQueue::TimerId>& timer = session_->timer_;
    DeliveryQueue* const delivery = session_->parts_.delivery;
    const TimePoint next = session_->NextDeadline();
    const bool nearer = next < (timer.has_value() ? timer->first : TimePoint::max());
    if (!nearer && !session_->settled_) return;
    if (timer.has_value()) delivery->Drop(*std::exchange(timer, std::nullopt));
    if (!nearer) return;
    timer = delivery->CallAt(next, [weak = session_->weak_from_this(), next] {
      if (const auto session = weak.lock()) session->OnTimer(next);
    });
  }

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
