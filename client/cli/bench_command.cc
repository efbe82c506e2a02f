#include "client/cli/bench_command.h"

#include <unistd.h>

#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "client/api/interpreter_client.h"
#include "client/cli/bench_report.h"
#include "client/cli/diagnostics.h"
#include "client/cli/session_display.h"
#include "client/load/counter_check.h"
#include "client/load/load_run.h"

namespace dragoman::client {
namespace {

constexpr std::chrono::milliseconds kMetricsTimeout{5000};

void PrintStatus(const absl::Status& status) { PrintDiagnostic(std::string(status.message())); }

// One load run with the counters around it.
struct Run {
  LoadReport load;
  std::optional<CounterReport> counters;
  absl::Status counters_status;  // of the reading after the run
};

// Thread-compatible.
class Bench {
 public:
  Bench(const BenchPlan& plan, InterpreterClient* client, Clock* clock)
      : plan_(plan), client_(client), clock_(clock) {}

  // The exit code; the result is what there is to report, nullopt for nothing.
  ExitCode RunPlain(std::optional<BenchResult>* result) {
    absl::StatusOr<Run> run = RunOnce(plan_.load.streams);
    if (!run.ok()) return CodeForNoRun(run.status());
    const ExitCode code = CodeFor(*run);
    if (run->load.late_seconds.p99 > kMaxLateP99Seconds) {
      PrintDiagnostic(absl::StrFormat(
          "the load generator itself sent words %.3f s late (p99): the lags are not the server's",
          run->load.late_seconds.p99));
    }
    const bool holds = plan_.slo.Holds(run->load);
    *result = MakeResult(*std::move(run));
    return code == ExitCode::kDone && !holds ? ExitCode::kSloMissed : code;
  }

  ExitCode RunSearch(std::optional<BenchResult>* result) {
    std::optional<Run> best, last;
    ExitCode stop = ExitCode::kDone;
    const auto trial = [&](size_t streams) -> std::optional<SlotTrial> {
      absl::StatusOr<Run> run = RunOnce(streams);
      if (!run.ok()) {
        stop = CodeForNoRun(run.status());
        return std::nullopt;
      }
      last = *std::move(run);
      const ExitCode code = CodeFor(*last);
      SlotTrial judged = JudgeTrial(last->load, plan_.slo);
      PrintDiagnostic(TrialLine(judged));
      if (judged.verdict == TrialVerdict::kHolds) best = last;
      // A server without room, or one that drops sessions, is at its limit; anything else would
      // go wrong with fewer streams too.
      if (code != ExitCode::kDone && code != ExitCode::kEndedEarly &&
          code != ExitCode::kNoCapacity) {
        stop = code;
        return std::nullopt;
      }
      return judged;
    };
    absl::StatusOr<SlotSearchResult> search = FindSlots(*plan_.search, trial);
    if (!search.ok()) return CodeForNoRun(search.status());
    const bool stopped = search->limit == SlotLimit::kStopped;
    ExitCode code = stop;
    if (!stopped && search->slots == 0) {
      code = search->limit == SlotLimit::kGenerator ? ExitCode::kEndedEarly : ExitCode::kSloMissed;
    }
    std::optional<Run>& shown = stopped || !best ? last : best;
    if (shown) {
      *result = MakeResult(*std::move(shown));
      (*result)->slot_search = *std::move(search);
    }
    return code;
  }

 private:
  // Errors: of the reading of the counters before the run; then nothing ran.
  absl::StatusOr<Run> RunOnce(size_t streams) {
    const MetricsSource source = [this] {
      return FetchMetrics(*plan_.metrics, clock_, kMetricsTimeout);
    };
    std::optional<Exposition> before;
    if (plan_.metrics) {
      DRAGOMAN_ASSIGN_OR_RETURN(before, ReadAtRest(source, clock_, RestLimits{}));
    }
    LoadOptions load = plan_.load;
    load.streams = streams;
    Run run;
    DRAGOMAN_ASSIGN_OR_RETURN(run.load, RunLoad(client_, load, clock_));
    if (!before) return run;
    absl::StatusOr<CounterReport> counters =
        CheckAtRest(source, *before, run.load.counts, clock_, RestLimits{});
    run.counters_status = counters.status();
    if (counters.ok()) run.counters = *std::move(counters);
    return run;
  }

  static ExitCode CodeForNoRun(const absl::Status& status) {
    PrintStatus(status);
    return absl::IsUnavailable(status) ? ExitCode::kCannotConnect : ExitCode::kUsage;
  }

  // Says what went wrong. The SLO is not judged here.
  static ExitCode CodeFor(const Run& run) {
    for (const std::string& error : run.load.errors) PrintDiagnostic(error);
    const bool untrue = run.counters && !run.counters->agrees();
    if (untrue) PrintMismatches(*run.counters);
    if (!run.counters_status.ok()) PrintStatus(run.counters_status);
    if (run.load.broken_invariants > 0 || untrue) return ExitCode::kBrokenInvariant;
    if (run.load.first_failure) return ExitCodeForEnd(*run.load.first_failure);
    return run.counters_status.ok() ? ExitCode::kDone : ExitCode::kCannotConnect;
  }

  static void PrintMismatches(const CounterReport& report) {
    if (report.results.empty()) PrintDiagnostic("--metrics: the page has no counter to check");
    for (const CounterResult& result : report.results) {
      if (!result.agrees()) PrintDiagnostic("server counter " + result.ToString());
    }
  }

  BenchResult MakeResult(Run run) const {
    BenchResult result;
    result.load = std::move(run.load);
    result.unstable_tail = plan_.load.config.output().unstable_tail();
    result.counters = std::move(run.counters);
    return result;
  }

  const BenchPlan& plan_;
  InterpreterClient* const client_;
  Clock* const clock_;
};

}  // namespace

ExitCode RunBench(const BenchOptions& options) {
  SystemClock clock;
  const absl::StatusOr<BenchPlan> plan = MakeBenchPlan(options);
  auto client = InterpreterClient::Create(options.channel, RetryOptions{}, &clock, options.seed);
  for (const absl::Status& status : {plan.status(), client.status()}) {
    if (status.ok()) continue;
    PrintStatus(status);
    return ExitCode::kUsage;
  }
  Bench bench(*plan, client->get(), &clock);
  std::optional<BenchResult> result;
  ExitCode code = plan->search ? bench.RunSearch(&result) : bench.RunPlain(&result);
  if (!result) return code;
  const std::string json = BenchReportJson(*result);
  if (!options.out.empty()) {
    const absl::Status written = WriteFileAtomically(options.out, json);
    if (!written.ok()) PrintDiagnostic(absl::StrCat("--out: ", written.message()));
    const bool good = code == ExitCode::kDone || code == ExitCode::kSloMissed;
    if (!written.ok() && good) code = ExitCode::kUsage;
  }
  if (!WriteFully(STDOUT_FILENO, options.json ? json : BenchReportText(*result))) {
    return ExitCode::kEndedEarly;
  }
  return code;
}

}  // namespace dragoman::client
