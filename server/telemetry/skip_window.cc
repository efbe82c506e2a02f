#include "server/telemetry/skip_window.h"

namespace dragoman::server {
namespace {

template <typename Counts>
void AddTo(const Counts& counts, SkipWindow::Sums* sums) {
  for (size_t i = 0; i < sums->skipped.size(); ++i) sums->skipped[i] += counts.skipped[i];
  for (size_t g = 0; g < 2; ++g) {
    sums->rows[g] += counts.rows[g];
    sums->calibrated_rows[g] += counts.calibrated_rows[g];
    for (size_t m = 0; m < 2; ++m) {
      sums->calibrated_skipped[g][m] += counts.calibrated_skipped[g][m];
    }
  }
}

}  // namespace

SkipWindow::SkipWindow(Clock* clock, int64_t num_layers, double attention_share)
    : clock_(clock),
      num_layers_(static_cast<size_t>(num_layers)),
      attention_share_(attention_share) {}

SkipWindow::Sums SkipWindow::Nothing() const {
  Sums sums;
  sums.skipped.assign(4 * num_layers_, 0);
  return sums;
}

void SkipWindow::Add(const model::SkipCounts& counts) {
  const int64_t tick = Tick();
  const MutexLock lock(&mu_);
  Slot& slot = slots_[static_cast<size_t>(tick) % kNumSlots];
  if (slot.tick != tick) slot = {tick, Nothing()};
  AddTo(counts, &slot.sums);
}

SkipWindow::Sums SkipWindow::LastMinute() const {
  const int64_t tick = Tick();
  Sums sums = Nothing();
  const MutexLock lock(&mu_);
  for (const Slot& slot : slots_) {
    const bool recent = slot.tick >= 0 && slot.tick > tick - static_cast<int64_t>(kNumSlots);
    if (recent) AddTo(slot.sums, &sums);
  }
  return sums;
}

double SkipWindow::CalibratedRate(const Sums& sums, size_t group) const {
  const auto& skipped = sums.calibrated_skipped[group];
  return (skipped[0] * attention_share_ + skipped[1] * (1 - attention_share_)) /
         (sums.calibrated_rows[group] * static_cast<double>(num_layers_));
}

}  // namespace dragoman::server
