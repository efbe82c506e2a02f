// Feeds the families about skip routing from the steps of one engine; a step without routed rows
// costs one comparison. Private to server/telemetry. Engine thread only.
#pragma once

#include <array>
#include <memory>

#include "model/engine/engine_observer.h"
#include "prometheus/counter.h"
#include "prometheus/histogram.h"
#include "server/telemetry/skip_window.h"

namespace dragoman::server {

class SkipFeed {
 public:
  struct Targets {
    // [attention, MLP][source, target][run, skip]
    std::array<std::array<std::array<prometheus::Counter*, 2>, 2>, 2> rows;
    std::array<prometheus::Histogram*, 2> union_active;  // attention, MLP
    prometheus::Counter* weight_bytes;
    prometheus::Counter* kv_bytes;
    std::array<prometheus::Counter*, model::kNumExecPaths> exec;  // by ExecPath
    prometheus::Counter* router_seconds;
  };
  SkipFeed(const Targets& targets, std::shared_ptr<SkipWindow> window);

  void OnStep(const model::StepFacts& facts);

 private:
  const Targets t_;
  const std::shared_ptr<SkipWindow> window_;
};

}  // namespace dragoman::server
