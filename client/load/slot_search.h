// How many streams a server carries within an SLO. The search knows no server: it asks a callback
// for trials. Thread-compatible.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "client/load/load_report.h"
#include "client/load/slo.h"

namespace dragoman::client {

enum class TrialVerdict {
  kHolds,
  kMisses,   // too slow, or sessions failed
  kInvalid,  // the load generator itself was late: this says nothing about the server
};
// "holds", "misses", "invalid".
const char* TrialVerdictName(TrialVerdict verdict);

struct SlotTrial {
  size_t streams = 0;
  TrialVerdict verdict = TrialVerdict::kMisses;
  std::string reason;  // of a verdict other than kHolds
  double lag_p99_seconds = 0.0;
  double first_text_p99_seconds = 0.0;
  double late_p99_seconds = 0.0;
  size_t errors = 0;  // sessions that were refused or failed
};

// Words that leave later than this in the 99th percentile make a trial invalid.
constexpr double kMaxLateP99Seconds = 0.05;

// Verdict and figures of one run. A run without any text misses every SLO.
SlotTrial JudgeTrial(const LoadReport& report, const Slo& slo);

struct SlotSearchOptions {
  size_t first_streams = 1;
  size_t max_streams = 1024;
  double precision = 0.05;  // the search ends when the two borders are as near, relatively

  // Errors: InvalidArgument that names the field.
  absl::Status Validate() const;
};

enum class SlotLimit {
  kSlo,         // more streams miss the SLO
  kMaxStreams,  // even max_streams hold it
  kGenerator,   // more streams are more than the load generator can drive: the server's own limit
                // is not known
  kStopped,     // a trial could not be made
};
// "slo", "max_streams", "generator", "stopped".
const char* SlotLimitName(SlotLimit limit);

struct SlotSearchResult {
  size_t slots = 0;  // the most streams that held the SLO; 0: not even one
  SlotLimit limit = SlotLimit::kSlo;
  std::vector<SlotTrial> trials;  // in order
};

// Doubles from `first_streams` until a trial misses or `max_streams` hold, then halves the interval
// between the last that held and the first that did not. An invalid trial is made once more; if it
// stays invalid its number of streams counts as out of reach.
//   trial: a run with so many streams, or nullopt to stop the search.
// Errors: those of Validate().
absl::StatusOr<SlotSearchResult> FindSlots(
    const SlotSearchOptions& options,
    const std::function<std::optional<SlotTrial>(size_t streams)>& trial);

}  // namespace dragoman::client
