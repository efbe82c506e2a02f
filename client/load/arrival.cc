#include "client/load/arrival.h"

#include <cmath>

#include "base/random.h"

namespace dragoman::client {

std::vector<Duration> PoissonStarts(size_t sessions, Duration ramp, uint64_t seed) {
  RandomStream random(seed, "load-arrival");
  std::vector<double> times;  // in mean gaps
  double time = 0.0;
  for (size_t i = 0; i <= sessions; ++i) {
    time -= std::log1p(-random.NextUnit());
    times.push_back(time);
  }
  std::vector<Duration> starts;
  for (size_t i = 0; i < sessions; ++i) {
    const double share = time > 0.0 ? times[i] / time : 0.0;
    starts.push_back(std::chrono::duration_cast<Duration>(ramp * share));
  }
  return starts;
}

}  // namespace dragoman::client
