#include "client/load/session_plan.h"

#include <algorithm>
#include <chrono>

#include "base/random.h"

namespace dragoman::client {

Duration WordPeriod(const LoadOptions& options) {
  return std::chrono::duration_cast<Duration>(
      std::chrono::duration<double>(1.0 / options.words_per_second));
}

std::vector<SessionPlan> PlanSessions(const LoadOptions& options) {
  const std::vector<SessionRole> roles = AssignRoles(options.chaos, options.streams, options.seed);
  std::vector<Duration> starts;
  if (options.arrival == Arrival::kPoisson) {
    starts = PoissonStarts(options.streams, options.ramp, options.seed);
  }
  std::vector<SessionPlan> plans(options.streams);
  for (size_t i = 0; i < plans.size(); ++i) {
    SessionPlan& plan = plans[i];
    RandomStream random(options.seed, "load-session", 0, i);
    plan.role = roles[i];
    plan.first_word = random.NextBelow(options.words.size());
    const double phase = random.NextUnit();
    if (options.arrival == Arrival::kSpread) {
      plan.speaks = std::chrono::duration_cast<Duration>(WordPeriod(options) * phase);
    } else if (options.arrival == Arrival::kPoisson) {
      plan.opens = plan.speaks = starts[i];
    }
    const Duration speaking = std::max(Duration{}, Duration(options.duration) - plan.speaks);
    const double share = 0.25 + 0.5 * random.NextUnit();
    plan.cancels = plan.speaks + std::chrono::duration_cast<Duration>(speaking * share);
  }
  return plans;
}

}  // namespace dragoman::client
