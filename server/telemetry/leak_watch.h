// Slots that no session holds. A single look may be wrong, because slots and sessions are counted
// one after the other; a slot counts as leaked when two looks in a row agree. Private to
// server/telemetry.
//
// Thread-safe.
#pragma once

#include <algorithm>
#include <cstddef>

#include "base/mutex.h"

namespace dragoman::server {

class LeakWatch {
 public:
  // `sessions`: the larger of two counts, one before and one after the slots were counted. Gives
  // the most leaked slots that were ever seen: it never falls.
  size_t Look(size_t slots_used, size_t sessions) {
    const size_t now = slots_used - std::min(slots_used, sessions);
    const MutexLock lock(&mu_);
    leaked_ = std::max(leaked_, std::min(now, last_));
    last_ = now;
    return leaked_;
  }

 private:
  Mutex mu_;
  size_t last_ ABSL_GUARDED_BY(mu_) = 0;
  size_t leaked_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace dragoman::server
