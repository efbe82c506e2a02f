#include "server/telemetry/skip_feed.h"

#include <utility>

namespace dragoman::server {

SkipFeed::SkipFeed(const Targets& targets, std::shared_ptr<SkipWindow> window)
    : t_(targets), window_(std::move(window)) {}

void SkipFeed::OnStep(const model::StepFacts& facts) {
  if (facts.skips == nullptr) return;
  const model::SkipCounts& counts = *facts.skips;
  const auto layers = static_cast<size_t>(window_->num_layers());
  for (size_t module = 0; module < 2; ++module) {
    for (size_t group = 0; group < 2; ++group) {
      uint64_t skipped = 0;
      for (size_t l = 0; l < layers; ++l) {
        skipped += counts.skipped[(group * layers + l) * 2 + module];
      }
      const uint64_t decisions = uint64_t{counts.rows[group]} * layers;
      t_.rows[module][group][0]->Increment(static_cast<double>(decisions - skipped));
      t_.rows[module][group][1]->Increment(static_cast<double>(skipped));
    }
    t_.union_active[module]->Observe(static_cast<double>(counts.active_layers[module]) /
                                     static_cast<double>(layers));
  }
  for (size_t path = 0; path < t_.exec.size(); ++path) {
    t_.exec[path]->Increment(facts.routing->module_calls[path]);
  }
  t_.weight_bytes->Increment(static_cast<double>(facts.routing->weight_bytes_saved));
  t_.kv_bytes->Increment(static_cast<double>(facts.routing->kv_bytes_saved));
  t_.router_seconds->Increment(static_cast<double>(facts.routing->router_ns) * 1e-9);
  window_->Add(counts);
}

}  // namespace dragoman::server
