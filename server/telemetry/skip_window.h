// What rows skipped in the last minute, kept in slots of 5 seconds: the engine thread adds, a
// scrape sums. Private to server/telemetry.
//
// Thread-safe.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "model/routing/skip_counts.h"

namespace dragoman::server {

class SkipWindow {
 public:
  static constexpr Duration kSlot = std::chrono::seconds(5);
  static constexpr size_t kNumSlots = 12;

  struct Sums {
    std::array<double, 2> rows{};  // source, target
    std::vector<double> skipped;   // [2 groups, layers, 2 modules]
    std::array<double, 2> calibrated_rows{};
    std::array<std::array<double, 2>, 2> calibrated_skipped{};  // [group][module], all layers
  };

  // `attention_share`: of the weights of a layer.
  SkipWindow(Clock* clock, int64_t num_layers, double attention_share);

  void Add(const model::SkipCounts& counts);
  // Of the slot that runs and the eleven before it.
  Sums LastMinute() const;
  int64_t num_layers() const { return static_cast<int64_t>(num_layers_); }
  // Parameter-weighted skip rate of the rows of a group at dial 1; there must be such rows.
  double CalibratedRate(const Sums& sums, size_t group) const;

 private:
  struct Slot {
    int64_t tick = -1;  // which stretch of time it holds
    Sums sums;
  };
  int64_t Tick() const { return clock_->Now().time_since_epoch() / kSlot; }
  Sums Nothing() const;

  Clock* const clock_;
  const size_t num_layers_;
  const double attention_share_;
  mutable Mutex mu_;
  std::array<Slot, kNumSlots> slots_ ABSL_GUARDED_BY(mu_);
};

}  // namespace dragoman::server
