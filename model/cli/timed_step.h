// What the commands that time single steps of a growing stream share.
#pragma once

#include <cstdint>
#include <vector>

#include "base/clock.h"
#include "base/status.h"
#include "model/api/backbone.h"

namespace dragoman::model {

// Tokens of word `index` of a text: 1.4 on average, as subwords of everyday English have it.
int32_t TokensOfWord(int64_t index);
// Of its first `words` words.
int32_t TokensOfWords(int64_t words);

// Seconds that one step takes. Errors: those of Backbone::Forward().
absl::StatusOr<double> TimedStep(Backbone* backbone, const StepBatch& batch, Clock* clock);

// values must not be empty.
double Median(std::vector<double> values);

}  // namespace dragoman::model
