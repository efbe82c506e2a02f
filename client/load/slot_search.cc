#include "client/load/slot_search.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"

namespace dragoman::client {
namespace {

// Where a search stands: `holds` streams hold (0 always do), `fails` streams do not.
class Search {
 public:
  Search(const SlotSearchOptions& options,
         const std::function<std::optional<SlotTrial>(size_t)>& trial)
      : options_(options), trial_(trial) {}

  SlotSearchResult Run() {
    if (Double() && Bisect()) result_.limit = limit_;
    return std::move(result_);
  }

 private:
  // False when the search is over: at the upper limit or stopped.
  bool Double() {
    size_t streams = options_.first_streams;
    while (true) {
      if (!Try(streams)) return false;
      if (fails_ > 0) return true;
      if (streams == options_.max_streams) {
        result_.limit = SlotLimit::kMaxStreams;
        return false;
      }
      streams = std::min(streams * 2, options_.max_streams);
    }
  }

  bool Bisect() {
    while (fails_ - result_.slots > Tolerance()) {
      if (!Try(result_.slots + (fails_ - result_.slots) / 2)) return false;
    }
    return true;
  }

  size_t Tolerance() const {
    const double streams = options_.precision * static_cast<double>(fails_);
    return std::max<size_t>(1, static_cast<size_t>(streams));
  }

  // Moves one of the borders. False: stopped.
  bool Try(size_t streams) {
    TrialVerdict verdict = TrialVerdict::kInvalid;
    for (int tries = 0; tries < 2 && verdict == TrialVerdict::kInvalid; ++tries) {
      std::optional<SlotTrial> trial = trial_(streams);
      if (!trial) {
        result_.limit = SlotLimit::kStopped;
        return false;
      }
      verdict = trial->verdict;
      result_.trials.push_back(*std::move(trial));
    }
    if (verdict == TrialVerdict::kHolds) {
      result_.slots = streams;
    } else {
      fails_ = streams;
      limit_ = verdict == TrialVerdict::kInvalid ? SlotLimit::kGenerator : SlotLimit::kSlo;
    }
    return true;
  }

  const SlotSearchOptions& options_;
  const std::function<std::optional<SlotTrial>(size_t)>& trial_;
  size_t fails_ = 0;  // 0: not found yet
  SlotLimit limit_ = SlotLimit::kSlo;
  SlotSearchResult result_;
};

}  // namespace

const char* TrialVerdictName(TrialVerdict verdict) {
  switch (verdict) {
    case TrialVerdict::kHolds:
      return "holds";
    case TrialVerdict::kMisses:
      return "misses";
    case TrialVerdict::kInvalid:
      return "invalid";
  }
  return "invalid";
}

const char* SlotLimitName(SlotLimit limit) {
  switch (limit) {
    case SlotLimit::kSlo:
      return "slo";
    case SlotLimit::kMaxStreams:
      return "max_streams";
    case SlotLimit::kGenerator:
      return "generator";
    case SlotLimit::kStopped:
      return "stopped";
  }
  return "stopped";
}

SlotTrial JudgeTrial(const LoadReport& report, const Slo& slo) {
  SlotTrial trial;
  trial.streams = report.streams;
  trial.lag_p99_seconds = report.lag_seconds.p99;
  trial.first_text_p99_seconds = report.first_text_seconds.p99;
  trial.late_p99_seconds = report.late_seconds.p99;
  trial.errors = report.refused + report.failed;
  if (trial.errors > 0) {
    // No lateness of ours makes a server refuse or break off.
    trial.reason = absl::StrCat(report.refused, " sessions refused, ", report.failed, " failed");
  } else if (trial.late_p99_seconds > kMaxLateP99Seconds) {
    trial.verdict = TrialVerdict::kInvalid;
    trial.reason = absl::StrFormat(
        "the load generator sent words %.3f s late (p99, limit %.3f s): not the server's fault",
        trial.late_p99_seconds, kMaxLateP99Seconds);
  } else if (report.lag_seconds.count == 0) {
    trial.reason = "no text came";
  } else if (!slo.Holds(report)) {
    trial.reason = "slower than the SLO";
  } else {
    trial.verdict = TrialVerdict::kHolds;
  }
  return trial;
}

absl::Status SlotSearchOptions::Validate() const {
  if (first_streams < 1) return absl::InvalidArgumentError("a search starts with 1 stream or more");
  if (max_streams < first_streams) {
    return absl::InvalidArgumentError(
        absl::StrCat("a search from ", first_streams, " streams cannot end at ", max_streams));
  }
  if (!(precision > 0.0 && precision < 1.0)) {
    return absl::InvalidArgumentError(
        absl::StrCat("precision ", precision, ", wanted above 0 and below 1"));
  }
  return absl::OkStatus();
}

absl::StatusOr<SlotSearchResult> FindSlots(
    const SlotSearchOptions& options,
    const std::function<std::optional<SlotTrial>(size_t streams)>& trial) {
  DRAGOMAN_RETURN_IF_ERROR(options.Validate());
  return Search(options, trial).Run();
}

}  // namespace dragoman::client
