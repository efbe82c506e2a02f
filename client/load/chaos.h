// Sessions that do not behave: some leave in the middle, some read late. Which ones is drawn from a
// seed, so that a run can be repeated. Pure functions.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/status.h"

namespace dragoman::client {

enum class SessionRole {
  kOrderly,
  kCancels,      // cancels in the middle half of its speaking time
  kReadsSlowly,  // waits before each event while it speaks, then catches up
};

// What a slow reader waits before an event, on average; a draw lies within half of it to both
// sides. At 3 words a second this is slower than the text comes.
constexpr std::chrono::milliseconds kSlowReadPause{500};
// A slow reader lets the server send this many events ahead of its acknowledgements, so that the
// server notices it: transport buffers alone would hide it for hours.
constexpr uint32_t kSlowReadUnackedEvents = 4;

struct ChaosShares {
  double cancel = 0.0;
  double slow = 0.0;

  // Errors: InvalidArgument that names the share, for one outside 0..1 and for a sum above 1.
  absl::Status Validate() const;
};

// The role of each session: the shares of `sessions`, rounded to whole sessions, in a seeded order.
// `shares` are valid.
std::vector<SessionRole> AssignRoles(const ChaosShares& shares, size_t sessions, uint64_t seed);

}  // namespace dragoman::client
