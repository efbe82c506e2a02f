// What each session of a load run will do, drawn from the seed before the run begins.
#pragma once

#include <cstddef>
#include <vector>

#include "base/clock.h"
#include "client/load/load_options.h"

namespace dragoman::client {

// Times count from the begin of the run.
struct SessionPlan {
  SessionRole role = SessionRole::kOrderly;
  size_t first_word = 0;  // index into LoadOptions::words
  Duration opens{};
  Duration speaks{};   // the first word
  Duration cancels{};  // kCancels only
};

// One plan per stream; equal for equal options. `options` are valid.
std::vector<SessionPlan> PlanSessions(const LoadOptions& options);

// The time from one word of a session to its next.
Duration WordPeriod(const LoadOptions& options);

}  // namespace dragoman::client
