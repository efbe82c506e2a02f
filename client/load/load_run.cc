#include "client/load/load_run.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <optional>
#include <queue>
#include <set>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/mutex.h"
#include "base/random.h"
#include "base/status_macros.h"

namespace dragoman::client {
namespace {

double Seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

// One speaker: what was sent when, and what came back.
class Session {
 public:
  Session(InterpreterClient* client, const v1::StreamConfig& config, size_t first_word,
          Clock* clock)
      : clock_(clock), next_word_(first_word), stream_(client->StartStream(config, {})) {
    reader_ = std::thread([this] { Read(); });
  }
  ~Session() { Join(); }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Says the next word. False when the session is over.
  bool Speak(const std::vector<std::string>& words) {
    const std::string text = absl::StrCat(words[next_word_ % words.size()], " ");
    ++next_word_;
    {
      MutexLock lock(&mu_);
      sent_.push_back(clock_->Now());
    }
    return stream_->SendText(text).ok();
  }
  void HalfClose() { stream_->HalfClose(); }
  void Join() {
    if (reader_.joinable()) reader_.join();
  }

  // After Join().
  void AddTo(LoadReport* report, std::set<std::string>* errors, std::vector<double>* lags,
             std::vector<double>* first_texts) {
    MutexLock lock(&mu_);
    const StreamEnd& end = stream_->end();
    if (end.broken_invariant) {
      ++report->broken_invariants;
      errors->insert(*end.broken_invariant);
    }
    if (end.status.ok() && !end.broken_invariant) {
      ++report->completed;
    } else {
      ++(end.started ? report->failed : report->refused);
      if (!report->first_failure) report->first_failure = end;
      if (!end.broken_invariant) errors->insert(end.status.ToString());
    }
    report->messages_sent += sent_.size() + 1;
    report->source_words += sent_.size();
    report->events_received += events_;
    report->target_words += target_words_;
    lags->insert(lags->end(), lags_.begin(), lags_.end());
    if (first_text_) first_texts->push_back(*first_text_);
  }

 private:
  void Read() {
    while (const std::optional<v1::StreamEvent> event = stream_->Next()) {
      MutexLock lock(&mu_);
      ++events_;
      if (event->has_ended()) target_words_ = event->ended().usage().target_words();
      if (event->has_delta() && !event->delta().stable().empty()) OnText(event->delta());
    }
  }
  void OnText(const v1::TextDelta& delta) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    const TimePoint now = clock_->Now();
    const size_t read = delta.read().words();
    if (read == 0 || read > sent_.size()) return;
    lags_.push_back(Seconds(now - sent_[read - 1]));
    if (!first_text_) first_text_ = Seconds(now - sent_.front());
  }

  Clock* const clock_;
  size_t next_word_;  // sending thread only
  const std::unique_ptr<TranslateStream> stream_;
  std::thread reader_;

  Mutex mu_;
  std::vector<TimePoint> sent_ ABSL_GUARDED_BY(mu_);
  std::vector<double> lags_ ABSL_GUARDED_BY(mu_);
  std::optional<double> first_text_ ABSL_GUARDED_BY(mu_);
  uint64_t events_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t target_words_ ABSL_GUARDED_BY(mu_) = 0;
};

void WaitUntil(Clock* clock, TimePoint due) {
  Mutex mutex;
  CondVar nobody;
  MutexLock lock(&mutex);
  clock->WaitUntil(&mutex, &nobody, due, [] { return false; });
}

}  // namespace

absl::Status LoadOptions::Validate() const {
  if (streams < 1 || streams > 4096) {
    return absl::InvalidArgumentError(absl::StrCat("streams ", streams, ", wanted 1 to 4096"));
  }
  if (!(words_per_second > 0.0 && words_per_second <= 1000.0)) {
    return absl::InvalidArgumentError(
        absl::StrCat("words a second ", words_per_second, ", wanted above 0, at most 1000"));
  }
  if (duration.count() < 1 || duration > std::chrono::hours(24)) {
    return absl::InvalidArgumentError(
        absl::StrCat("duration ", duration.count(), " ms, wanted 1 ms to 24 h"));
  }
  if (words.empty()) return absl::InvalidArgumentError("there are no words to speak");
  return absl::OkStatus();
}

LoadDistribution Distribute(std::vector<double> values) {
  if (values.empty()) return {};
  std::sort(values.begin(), values.end());
  const auto rank = [&](double share) {
    const auto index = static_cast<size_t>(std::ceil(share * static_cast<double>(values.size())));
    return values[std::max<size_t>(index, 1) - 1];
  };
  return {values.size(), rank(0.5), rank(0.9), rank(0.99), values.back()};
}

absl::StatusOr<LoadReport> RunLoad(InterpreterClient* client, const LoadOptions& options,
                                   Clock* clock) {
  DRAGOMAN_RETURN_IF_ERROR(options.Validate());
  const auto period = std::chrono::duration_cast<Duration>(
      std::chrono::duration<double>(1.0 / options.words_per_second));
  const TimePoint begin = clock->Now();
  const TimePoint end = begin + options.duration;
  std::vector<std::unique_ptr<Session>> sessions;
  using Due = std::pair<TimePoint, size_t>;  // when, and whose word
  std::priority_queue<Due, std::vector<Due>, std::greater<>> due;
  for (size_t i = 0; i < options.streams; ++i) {
    RandomStream random(options.seed, "load-session", 0, i);
    const size_t first_word = random.NextBelow(options.words.size());
    sessions.push_back(std::make_unique<Session>(client, options.config, first_word, clock));
    due.emplace(begin + std::chrono::duration_cast<Duration>(period * random.NextUnit()), i);
  }

  std::vector<double> late;
  while (!due.empty()) {
    const auto [when, index] = due.top();
    due.pop();
    WaitUntil(clock, when);
    late.push_back(std::max(0.0, Seconds(clock->Now() - when)));
    const bool open = sessions[index]->Speak(options.words);
    if (open && when + period <= end) {
      due.emplace(when + period, index);
    } else {
      sessions[index]->HalfClose();
    }
  }

  LoadReport report;
  report.streams = options.streams;
  std::set<std::string> errors;
  std::vector<double> lags, first_texts;
  for (const std::unique_ptr<Session>& session : sessions) session->Join();
  report.seconds = Seconds(clock->Now() - begin);
  for (const std::unique_ptr<Session>& session : sessions) {
    session->AddTo(&report, &errors, &lags, &first_texts);
  }
  for (const std::string& error : errors) {
    if (report.errors.size() < 8) report.errors.push_back(error);
  }
  report.lag_seconds = Distribute(std::move(lags));
  report.first_text_seconds = Distribute(std::move(first_texts));
  report.late_seconds = Distribute(std::move(late));
  return report;
}

}  // namespace dragoman::client
