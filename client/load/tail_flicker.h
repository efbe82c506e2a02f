// How much of the shown text was withdrawn. Stable text never is; an unstable tail may be replaced.
// Counted as the server counts dragoman_tail_erased_bytes_total, but from what arrived here: where
// deltas were merged on the way the reader saw less withdrawn, and a tail that still stands when
// its segment ends counts as well.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "proto/dragoman/v1/interpreter.pb.h"

namespace dragoman::client {

// One session. One thread only.
class TailFlicker {
 public:
  void OnDelta(const v1::TextDelta& delta);
  void OnFinal(const v1::SegmentFinal& final);

  // Bytes of tails that neither became stable nor stayed in the next tail.
  uint64_t withdrawn_bytes() const { return withdrawn_bytes_; }

 private:
  void Replace(uint32_t track, const std::string& shown, const std::string& tail);

  std::map<uint32_t, std::string> tails_;  // track -> unstable text that is shown
  uint64_t withdrawn_bytes_ = 0;
};

}  // namespace dragoman::client
