// Numbers about steps and sequences for telemetry. Called on the engine thread, must not block.
#pragma once

#include <array>
#include <cstdint>

#include "base/clock.h"
#include "model/api/step_routing.h"
#include "model/engine/sequence_event.h"
#include "model/routing/skip_counts.h"

namespace dragoman::model {

struct StepFacts {
  uint32_t source_rows = 0;
  uint32_t target_rows = 0;
  uint32_t streams = 0;
  Duration schedule_time{};  // planning and building the batch
  Duration forward_time{};
  Duration sample_time{};  // sampling, policy, events
  // Modules that rows did not execute: [source, target][attention, MLP].
  std::array<std::array<uint32_t, 2>, 2> modules_skipped{};
  // Of a step in which some row could skip, valid during the call; else null.
  const SkipCounts* skips = nullptr;
  const StepRouting* routing = nullptr;
};

class EngineObserver {
 public:
  virtual ~EngineObserver() = default;
  // Before the forward of a step; OnStep() follows when the step is over.
  virtual void OnStepBegin() {}
  virtual void OnStep(const StepFacts& facts) {}
  virtual void OnSegmentClosed(const SegmentClosed& segment) {}
  virtual void OnGuard(TargetGuard guard) {}
  // The engine thread has nothing to do, and has something to do again.
  virtual void OnWait() {}
  virtual void OnWake() {}
};

}  // namespace dragoman::model
