#include "model/native/team_governor.h"

#include <algorithm>
#include <bit>

namespace dragoman::model {

int TeamGovernor::Choose(int64_t rows) {
  const auto bucket = static_cast<size_t>(std::bit_width(static_cast<uint64_t>(rows)));
  size_ = &sizes_[std::min(bucket, sizes_.size() - 1)];
  if (threads_ == 1) {
    team_ = false;
  } else if (size_->rest > 0) {
    --size_->rest;
    team_ = false;
  } else {
    // The first steps touch memory for the first time and say little.
    const int wait = size_->alone > 0 ? kMeasureEvery : 8;
    team_ = size_->steps < wait;
  }
  return team_ ? threads_ : 1;
}

void TeamGovernor::Record(double work, double seconds) {
  if (threads_ == 1) return;
  const double cost = seconds / work;
  if (!team_) {
    // One step that the system interrupted does not change the picture.
    const double sample = size_->alone > 0 ? std::min(cost, 1.5 * size_->alone) : cost;
    size_->alone = size_->alone > 0 ? 0.8 * size_->alone + 0.2 * sample : sample;
    size_->steps = 0;
    return;
  }
  ++size_->steps;
  if (size_->alone == 0 || cost <= kSlow * size_->alone) {
    if (++size_->good >= kForgive) size_->next_rest = kFirstRest;
    return;
  }
  size_->good = 0;
  size_->rest = size_->next_rest;
  size_->next_rest = std::min(kLongestRest, 2 * size_->next_rest);
}

}  // namespace dragoman::model
