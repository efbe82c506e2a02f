// When the sessions of a load run begin. Pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/clock.h"

namespace dragoman::client {

enum class Arrival {
  kSpread,   // all open at once, their first words spread over the time of one word
  kPoisson,  // one after the other with exponential gaps within the ramp
  kBurst,    // all open and all say their first word at once
};

// Starts of a Poisson process, rising, all above 0 and below `ramp`.
//
// The gaps between starts are exponential and then scaled so that the start after the last one
// falls on the end of the ramp. That is a Poisson process under the condition that exactly this
// many starts fall into the ramp: random gaps, and still no run with a session that comes too late.
std::vector<Duration> PoissonStarts(size_t sessions, Duration ramp, uint64_t seed);

}  // namespace dragoman::client
