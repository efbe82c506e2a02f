// Watches the steps of one engine: how long the one in progress has been running. Sits between the
// engine and who else observes it.
//
// Thread-safe.
#pragma once

#include <atomic>

#include "base/clock.h"
#include "model/engine/engine_observer.h"

namespace dragoman::server {

class StepWatch final : public model::EngineObserver {
 public:
  // `clock` and `next` outlive the watch.
  StepWatch(Clock* clock, model::EngineObserver* next) : clock_(clock), next_(next) {}

  void OnStepBegin() override;
  void OnStep(const model::StepFacts& facts) override;
  void OnSegmentClosed(const model::SegmentClosed& segment) override {
    next_->OnSegmentClosed(segment);
  }
  void OnGuard(model::TargetGuard guard) override { next_->OnGuard(guard); }

  // Zero between steps.
  Duration running() const;

 private:
  Clock* const clock_;
  model::EngineObserver* const next_;
  std::atomic<Duration::rep> begin_{0};  // since the clock's epoch; 0: no step
};

}  // namespace dragoman::server
