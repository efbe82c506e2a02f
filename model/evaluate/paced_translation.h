// Translates lines that are spoken at a steady pace by several speakers at once, in simulated time:
// words arrive when their speaker has said them, and every step of the engine takes the time that
// it really took. What a real-time run measures on an otherwise idle machine, without its waiting.
// One thread only.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/status.h"
#include "model/evaluate/corpus_translation.h"

namespace dragoman::model {

struct Pace {
  double seconds_per_word = 0.35;
  size_t speakers = 1;  // each begins its next line when the one before is translated
};

// As TranslateCorpus(), with the arrival and emit times of the words. Word w of a line (from 1) is
// complete w * seconds_per_word after the line began; the first lines begin spread over one word.
//   pace.speakers must not be greater than the slots of the engine
//   clock: measures the steps
// Errors: InvalidArgument (pace), those of Engine::Open() and Append().
absl::StatusOr<std::vector<TranslatedLine>> TranslatePaced(Engine* engine,
                                                           const Tokenizer& tokenizer,
                                                           const std::vector<std::string>& lines,
                                                           const CorpusTranslationOptions& options,
                                                           const Pace& pace, Clock* clock);

}  // namespace dragoman::model
