#include "client/load/tail_flicker.h"

#include <algorithm>

namespace dragoman::client {

// `shown`: everything after the stable text that was there before.
void TailFlicker::Replace(uint32_t track, const std::string& shown, const std::string& tail) {
  std::string& before = tails_[track];
  const auto difference = std::mismatch(before.begin(), before.end(), shown.begin(), shown.end());
  withdrawn_bytes_ += static_cast<uint64_t>(before.end() - difference.first);
  before = tail;
}

void TailFlicker::OnDelta(const v1::TextDelta& delta) {
  Replace(delta.track(), delta.stable() + delta.unstable(), delta.unstable());
}

void TailFlicker::OnFinal(const v1::SegmentFinal& final) { Replace(final.track(), "", ""); }

}  // namespace dragoman::client
