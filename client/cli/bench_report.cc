#include "client/cli/bench_report.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/json.h"

namespace dragoman::client {
namespace {

Json ToJson(const LoadDistribution& values) {
  return {{"count", values.count},
          {"p50", values.median},
          {"p90", values.p90},
          {"p99", values.p99},
          {"max", values.max}};
}

Json ToJson(const CounterReport& report) {
  Json counters = Json::object();
  for (const CounterResult& result : report.results) {
    Json most = nullptr;  // no upper border
    if (result.expected.most != CountRange::kUnlimited) most = result.expected.most;
    counters[result.name] = {{"server", result.server},
                             {"client_least", result.expected.least},
                             {"client_most", most},
                             {"agrees", result.agrees()}};
  }
  return {{"agree", report.agrees()}, {"counters", counters}, {"absent", report.absent}};
}

Json ToJson(const SlotTrial& trial) {
  return {{"streams", trial.streams},
          {"verdict", TrialVerdictName(trial.verdict)},
          {"reason", trial.reason},
          {"lag_p99_seconds", trial.lag_p99_seconds},
          {"first_text_p99_seconds", trial.first_text_p99_seconds},
          {"late_p99_seconds", trial.late_p99_seconds},
          {"errors", trial.errors}};
}

// Withdrawn over final bytes, as the server's metrics define it.
double FlickerRatio(const LoadReport& load) {
  if (load.final_bytes == 0) return 0.0;
  return static_cast<double>(load.withdrawn_bytes) / static_cast<double>(load.final_bytes);
}

std::string Row(const char* name, const LoadDistribution& values) {
  return absl::StrFormat("%-24s %9.3f %9.3f %9.3f %9.3f  (%d)\n", name, values.median, values.p90,
                         values.p99, values.max, values.count);
}

std::string SearchText(const SlotSearchResult& search) {
  const std::string text = absl::StrCat("slots: ", search.slots);
  switch (search.limit) {
    case SlotLimit::kSlo:
      return text + "; more streams miss the SLO\n";
    case SlotLimit::kMaxStreams:
      return text + " or more; --max-streams ended the search\n";
    case SlotLimit::kGenerator:
      return text + " or more; the load generator cannot drive more, the server's limit is open\n";
    case SlotLimit::kStopped:
      return text + " so far; the search was stopped\n";
  }
  return text;
}

}  // namespace

std::string TrialLine(const SlotTrial& trial) {
  std::string line =
      absl::StrFormat("trial: %d streams, lag p99 %.3f s, first p99 %.3f s, %d errors: %s",
                      trial.streams, trial.lag_p99_seconds, trial.first_text_p99_seconds,
                      trial.errors, TrialVerdictName(trial.verdict));
  if (!trial.reason.empty()) absl::StrAppend(&line, " (", trial.reason, ")");
  return line;
}

std::string BenchReportJson(const BenchResult& result) {
  const LoadReport& load = result.load;
  Json json = {{"streams", load.streams},
               {"completed", load.completed},
               {"cancelled", load.cancelled},
               {"slow", load.slow},
               {"refused", load.refused},
               {"failed", load.failed},
               {"broken_invariants", load.broken_invariants},
               {"errors", load.errors},
               {"messages_sent", load.messages_sent},
               {"events_received", load.events_received},
               {"source_words", load.source_words},
               {"target_words", load.target_words},
               {"seconds", load.seconds},
               {"lag_seconds", ToJson(load.lag_seconds)},
               {"first_text_seconds", ToJson(load.first_text_seconds)},
               {"late_seconds", ToJson(load.late_seconds)}};
  if (load.laal_words.count > 0) json["laal_words"] = ToJson(load.laal_words);
  if (result.unstable_tail) {
    json["flicker"] = {{"withdrawn_bytes", load.withdrawn_bytes},
                       {"final_bytes", load.final_bytes},
                       {"ratio", FlickerRatio(load)}};
  }
  if (result.slot_search) {
    json["slots"] = result.slot_search->slots;
    json["slots_limited_by"] = SlotLimitName(result.slot_search->limit);
    Json trials = Json::array();
    for (const SlotTrial& trial : result.slot_search->trials) trials.push_back(ToJson(trial));
    json["trials"] = trials;
  }
  if (result.counters) json["server_counters"] = ToJson(*result.counters);
  return DumpJson(json, 2) + "\n";
}

std::string BenchReportText(const BenchResult& result) {
  const LoadReport& load = result.load;
  std::string text;
  if (result.slot_search) text = SearchText(*result.slot_search);
  absl::StrAppendFormat(&text,
                        "sessions: %d completed, %d refused, %d failed, %d with a broken promise; "
                        "%d cancelled and %d slow on purpose\n"
                        "source: %d words in %d messages; target: %d words in %d events; %.1f s\n"
                        "%-24s %9s %9s %9s %9s\n",
                        load.completed, load.refused, load.failed, load.broken_invariants,
                        load.cancelled, load.slow, load.source_words, load.messages_sent,
                        load.target_words, load.events_received, load.seconds, "seconds", "p50",
                        "p90", "p99", "max");
  text += Row("lag of text", load.lag_seconds);
  text += Row("first text", load.first_text_seconds);
  text += Row("word sent too late", load.late_seconds);
  if (load.laal_words.count > 0) text += Row("AL = LAAL, words", load.laal_words);
  if (result.unstable_tail) {
    absl::StrAppendFormat(&text, "flicker: %d bytes withdrawn for %d bytes of finals, %.3f\n",
                          load.withdrawn_bytes, load.final_bytes, FlickerRatio(load));
  }
  if (result.counters) {
    size_t agreeing = 0;
    for (const CounterResult& counter : result.counters->results) agreeing += counter.agrees();
    absl::StrAppendFormat(&text, "server counters: %d of %d agree with the client, %d absent\n",
                          agreeing, result.counters->results.size(),
                          result.counters->absent.size());
  }
  return text;
}

}  // namespace dragoman::client
