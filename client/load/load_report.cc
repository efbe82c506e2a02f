#include "client/load/load_report.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

namespace dragoman::client {
namespace {

constexpr size_t kMaxErrors = 8;

// Puts a session into one of the counts.
void CountEnd(const SessionOutcome& outcome, LoadReport* report, std::set<std::string>* errors) {
  const StreamEnd& end = outcome.end;
  if (!end.broken_invariant) {
    if (end.status.ok() && !end.cancelled_by_us) {
      ++(outcome.role == SessionRole::kReadsSlowly ? report->slow : report->completed);
      return;
    }
    if (end.cancelled_by_us && end.status.code == absl::StatusCode::kCancelled) {
      ++report->cancelled;
      return;
    }
    errors->insert(end.status.ToString());
  } else {
    ++report->broken_invariants;
    errors->insert(*end.broken_invariant);
  }
  ++(end.started ? report->failed : report->refused);
  if (!report->first_failure) report->first_failure = end;
}

}  // namespace

LoadDistribution Distribute(std::vector<double> values) {
  if (values.empty()) return {};
  std::sort(values.begin(), values.end());
  const auto rank = [&](double share) {
    const auto index = static_cast<size_t>(std::ceil(share * static_cast<double>(values.size())));
    return values[std::max<size_t>(index, 1) - 1];
  };
  return {values.size(), rank(0.5), rank(0.9), rank(0.99), values.back()};
}

LoadReport MakeLoadReport(const std::vector<SessionOutcome>& outcomes,
                          std::vector<double> late_seconds, double seconds) {
  LoadReport report;
  report.streams = outcomes.size();
  report.seconds = seconds;
  std::set<std::string> errors;
  std::vector<double> lags, first_texts, laals;
  for (const SessionOutcome& outcome : outcomes) {
    CountEnd(outcome, &report, &errors);
    report.messages_sent += outcome.messages_sent;
    report.events_received += outcome.events_received;
    report.source_words += outcome.words_sent;
    report.target_words += outcome.target_words;
    report.final_bytes += outcome.final_bytes;
    report.withdrawn_bytes += outcome.withdrawn_bytes;
    report.counts.Add(outcome.counts);
    if (outcome.role != SessionRole::kOrderly) continue;
    lags.insert(lags.end(), outcome.lag_seconds.begin(), outcome.lag_seconds.end());
    if (outcome.first_text_seconds) first_texts.push_back(*outcome.first_text_seconds);
    if (outcome.laal_words) laals.push_back(*outcome.laal_words);
  }
  for (const std::string& error : errors) {
    if (report.errors.size() < kMaxErrors) report.errors.push_back(error);
  }
  report.lag_seconds = Distribute(std::move(lags));
  report.first_text_seconds = Distribute(std::move(first_texts));
  report.laal_words = Distribute(std::move(laals));
  report.late_seconds = Distribute(std::move(late_seconds));
  return report;
}

}  // namespace dragoman::client
