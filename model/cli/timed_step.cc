#include "model/cli/timed_step.h"

#include <algorithm>
#include <chrono>

#include "base/status_macros.h"

namespace dragoman::model {

int32_t TokensOfWord(int64_t index) { return index % 5 == 1 || index % 5 == 3 ? 2 : 1; }

int32_t TokensOfWords(int64_t words) {
  int32_t tokens = 0;
  for (int64_t word = 0; word < words; ++word) tokens += TokensOfWord(word);
  return tokens;
}

absl::StatusOr<double> TimedStep(Backbone* backbone, const StepBatch& batch, Clock* clock) {
  StepOutput output;
  const TimePoint start = clock->Now();
  DRAGOMAN_RETURN_IF_ERROR(backbone->Forward(batch, &output));
  return std::chrono::duration<double>(clock->Now() - start).count();
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

}  // namespace dragoman::model
