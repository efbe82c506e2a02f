#include "client/load/load_run.h"

#include <algorithm>
#include <functional>
#include <memory>
#include <queue>
#include <tuple>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "base/random.h"
#include "base/status_macros.h"
#include "client/load/load_session.h"
#include "client/load/session_plan.h"

namespace dragoman::client {
namespace {

double Seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

void WaitUntil(Clock* clock, TimePoint due) {
  Mutex mutex;
  CondVar nobody;
  MutexLock lock(&mutex);
  clock->WaitUntil(&mutex, &nobody, due, [] { return false; });
}

// The sending side of a run: does what is due next, for all sessions. One thread only.
class Conductor {
 public:
  Conductor(InterpreterClient* client, const LoadOptions& options, Clock* clock)
      : client_(client),
        options_(options),
        clock_(clock),
        period_(WordPeriod(options)),
        plans_(PlanSessions(options)),
        sessions_(plans_.size()) {}

  LoadReport Run() {
    const TimePoint start = clock_->Now();
    // Opening many streams takes time of its own, which must not make the first words late.
    for (size_t i = 0; i < plans_.size(); ++i) {
      if (plans_[i].opens == Duration{}) Open(i);
    }
    begin_ = clock_->Now();
    for (size_t i = 0; i < plans_.size(); ++i) {
      if (sessions_[i] == nullptr) due_.emplace(begin_ + plans_[i].opens, i, Act::kOpen);
      due_.emplace(begin_ + plans_[i].speaks, i, Act::kSpeak);
    }
    while (!due_.empty()) {
      const auto [when, index, act] = due_.top();
      due_.pop();
      WaitUntil(clock_, when);
      Do(when, index, act);
    }
    std::vector<SessionOutcome> outcomes;
    for (const auto& session : sessions_) outcomes.push_back(session->Join());
    return MakeLoadReport(outcomes, std::move(late_), Seconds(clock_->Now() - start));
  }

 private:
  enum class Act { kOpen, kSpeak, kCancel };
  using Due = std::tuple<TimePoint, size_t, Act>;  // of one moment a session opens before it speaks

  void Open(size_t index) {
    sessions_[index] = std::make_unique<LoadSession>(
        client_, options_.config, &options_.words, plans_[index],
        RandomStream(options_.seed, "load-slow-read", 0, index), clock_);
  }

  void Do(TimePoint when, size_t index, Act act) {
    switch (act) {
      case Act::kOpen:
        Open(index);
        break;
      case Act::kSpeak:
        Speak(when, index);
        break;
      case Act::kCancel:
        sessions_[index]->Cancel();
        break;
    }
  }

  void Speak(TimePoint when, size_t index) {
    late_.push_back(std::max(0.0, Seconds(clock_->Now() - when)));
    const bool open = sessions_[index]->Speak();
    const TimePoint next = when + period_;
    const TimePoint cancels = begin_ + plans_[index].cancels;
    if (open && plans_[index].role == SessionRole::kCancels && next > cancels) {
      due_.emplace(std::max(when, cancels), index, Act::kCancel);
    } else if (open && next <= begin_ + options_.duration) {
      due_.emplace(next, index, Act::kSpeak);
    } else {
      sessions_[index]->HalfClose();
    }
  }

  InterpreterClient* const client_;
  const LoadOptions& options_;
  Clock* const clock_;
  const Duration period_;
  const std::vector<SessionPlan> plans_;
  std::vector<std::unique_ptr<LoadSession>> sessions_;
  TimePoint begin_;
  std::priority_queue<Due, std::vector<Due>, std::greater<>> due_;
  std::vector<double> late_;
};

}  // namespace

absl::StatusOr<LoadReport> RunLoad(InterpreterClient* client, const LoadOptions& options,
                                   Clock* clock) {
  DRAGOMAN_RETURN_IF_ERROR(options.Validate());
  return Conductor(client, options, clock).Run();
}

}  // namespace dragoman::client
