#include "client/load/counter_check.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/mutex.h"
#include "base/status_macros.h"

namespace dragoman::client {
namespace {

struct Series {
  const char* name;
  MetricLabels labels;
};
struct Counter {
  Series series;
  CountRange RunCounts::*expected;  // null: it must not grow
};

const MetricLabels& StreamMethod() {
  static const MetricLabels labels = {{"grpc_method", "StreamTranslate"}};
  return labels;
}

// Names as in server/telemetry.
const std::vector<Counter>& Counters() {
  static const std::vector<Counter> counters = {
      {{"grpc_server_started_total", StreamMethod()}, &RunCounts::calls},
      {{"grpc_server_handled_total", StreamMethod()}, &RunCounts::calls},
      {{"grpc_server_handled_total", {{"grpc_method", "StreamTranslate"}, {"grpc_code", "OK"}}},
       &RunCounts::completed},
      {{"dragoman_stream_seconds_count", {}}, &RunCounts::sessions},
      {{"dragoman_messages_total", {{"kind", "text"}}}, &RunCounts::chunks},
      {{"dragoman_received_bytes_total", {{"input", "text"}}}, &RunCounts::source_bytes},
      {{"dragoman_source_words_total", {}}, &RunCounts::source_words},
      {{"dragoman_target_words_total", {}}, &RunCounts::target_words},
      {{"dragoman_segments_total", {}}, &RunCounts::segments},
      {{"dragoman_events_total", {}}, &RunCounts::events},
      {{"dragoman_final_bytes_total", {}}, &RunCounts::final_bytes},
      {{"dragoman_double_free_total", {}}, nullptr},
  };
  return counters;
}

// Must be 0 at rest.
const std::vector<Series>& Gauges() {
  static const std::vector<Series> gauges = {
      {"dragoman_streams", {}},
      {"dragoman_slots_used", {}},
      {"dragoman_engine_sequences", {}},
      {"dragoman_kv_pages", {{"state", "used"}}},
  };
  return gauges;
}

std::string NameOf(const Series& series) {
  if (series.labels.empty()) return series.name;
  std::vector<std::string> labels;
  for (const auto& [name, value] : series.labels) {
    labels.push_back(absl::StrCat(name, "=\"", value, "\""));
  }
  return absl::StrCat(series.name, "{", absl::StrJoin(labels, ","), "}");
}

int64_t Whole(double value) {
  constexpr double kMost = 9.0e15;  // whole numbers of a double
  return std::isnan(value) ? -1 : std::llround(std::clamp(value, -kMost, kMost));
}

// Gauges that are not 0.
std::vector<std::string> Unrest(const Exposition& page) {
  std::vector<std::string> unrest;
  for (const Series& gauge : Gauges()) {
    const double value = page.Sum(gauge.name, gauge.labels).value_or(0.0);
    if (value != 0.0) unrest.push_back(absl::StrCat(NameOf(gauge), " is ", Whole(value)));
  }
  return unrest;
}

// Calls `done` with a fresh page until it says true or the time is over.
template <typename Function>
absl::Status Poll(const MetricsSource& source, Clock* clock, const RestLimits& limits,
                  const Function& done) {
  const TimePoint deadline = clock->Now() + limits.limit;
  Mutex mutex;
  CondVar nobody;
  while (true) {
    DRAGOMAN_ASSIGN_OR_RETURN(Exposition page, source());
    if (done(std::move(page)) || clock->Now() >= deadline) return absl::OkStatus();
    MutexLock lock(&mutex);
    clock->WaitUntil(&mutex, &nobody, clock->Now() + limits.period, [] { return false; });
  }
}

}  // namespace

bool CounterResult::agrees() const {
  return server >= 0 && static_cast<uint64_t>(server) >= expected.least &&
         static_cast<uint64_t>(server) <= expected.most;
}

std::string CounterResult::ToString() const {
  std::string client = absl::StrCat(expected.least);
  if (expected.most == CountRange::kUnlimited) {
    client += " or more";
  } else if (expected.most != expected.least) {
    absl::StrAppend(&client, " to ", expected.most);
  }
  return absl::StrCat(name, ": the server says ", server, ", the client ", client);
}

bool CounterReport::agrees() const {
  return !results.empty() && std::all_of(results.begin(), results.end(),
                                         [](const CounterResult& r) { return r.agrees(); });
}

CounterReport CompareCounters(const Exposition& before, const Exposition& after,
                              const RunCounts& counts) {
  CounterReport report;
  for (const Counter& counter : Counters()) {
    const Series& series = counter.series;
    const std::optional<double> old_value = before.Sum(series.name, series.labels);
    const std::optional<double> new_value = after.Sum(series.name, series.labels);
    if (!old_value && !new_value) {
      report.absent.push_back(NameOf(series));
      continue;
    }
    // A series appears with its first event; one that fell or vanished belongs to a new process.
    const double growth = new_value.value_or(0.0) - old_value.value_or(0.0);
    const CountRange expected =
        counter.expected == nullptr ? CountRange{} : counts.*counter.expected;
    report.results.push_back({NameOf(series), Whole(growth), expected});
  }
  for (const Series& gauge : Gauges()) {
    const std::optional<double> value = after.Sum(gauge.name, gauge.labels);
    if (!value) {
      report.absent.push_back(NameOf(gauge));
    } else {
      report.results.push_back({NameOf(gauge), Whole(*value), CountRange{}});
    }
  }
  return report;
}

absl::StatusOr<Exposition> ReadAtRest(const MetricsSource& source, Clock* clock,
                                      const RestLimits& limits) {
  std::optional<Exposition> page;
  DRAGOMAN_RETURN_IF_ERROR(Poll(source, clock, limits, [&](Exposition fresh) {
    page = std::move(fresh);
    return Unrest(*page).empty();
  }));
  const std::vector<std::string> unrest = Unrest(*page);
  if (unrest.empty()) return *std::move(page);
  return absl::FailedPreconditionError(
      absl::StrCat("the server is not at rest before the run: ", absl::StrJoin(unrest, ", ")));
}

absl::StatusOr<CounterReport> CheckAtRest(const MetricsSource& source, const Exposition& before,
                                          const RunCounts& counts, Clock* clock,
                                          const RestLimits& limits) {
  CounterReport report;
  DRAGOMAN_RETURN_IF_ERROR(Poll(source, clock, limits, [&](const Exposition& page) {
    report = CompareCounters(before, page, counts);
    return report.agrees();
  }));
  return report;
}

}  // namespace dragoman::client
