#include "model/evaluate/paced_translation.h"

#include <algorithm>
#include <limits>
#include <list>
#include <utility>

#include "base/check.h"
#include "base/status_macros.h"

namespace dragoman::model {
namespace {

// A line that is being spoken.
struct SpokenLine {
  SpokenLine(const Tokenizer* tokenizer, TranslatedLine* translated)
      : result(translated), sink(tokenizer, translated) {}

  TranslatedLine* const result;
  LineSink sink;
  SequenceId id = 0;
  double begin = 0;
  std::vector<SourceWord> words;
  size_t said = 0;  // words that the engine has
  bool finished = false;

  // Of the next word, or of the end of a line without words.
  double NextArrival() const {
    if (finished) return std::numeric_limits<double>::infinity();
    return begin + (words.empty() ? 0.0 : result->arrival_seconds[said]);
  }
};

// Gives the engine what has been said by `now`.
absl::Status Say(Engine* engine, double now, SpokenLine* line) {
  std::vector<SourceWord> words;
  while (!line->finished && line->NextArrival() <= now) {
    if (line->said < line->words.size()) words.push_back(std::move(line->words[line->said++]));
    line->finished = line->said == line->words.size();
  }
  if (!words.empty()) DRAGOMAN_RETURN_IF_ERROR(engine->Append(line->id, std::move(words)));
  return line->finished ? engine->Finish(line->id) : absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<TranslatedLine>> TranslatePaced(Engine* engine,
                                                           const Tokenizer& tokenizer,
                                                           const std::vector<std::string>& lines,
                                                           const CorpusTranslationOptions& options,
                                                           const Pace& pace, Clock* clock) {
  if (!(pace.seconds_per_word > 0) || pace.speakers == 0 || pace.speakers > engine->stats().slots) {
    return absl::InvalidArgumentError(absl::StrCat(
        "pace: ", pace.seconds_per_word, " s a word, ", pace.speakers,
        " speakers; needs more than 0 s and 1 to ", engine->stats().slots, " speakers"));
  }
  std::vector<TranslatedLine> results(lines.size());
  std::list<SpokenLine> spoken;
  size_t next = 0, reported = 0;
  double now = 0;
  while (next < lines.size() || !spoken.empty()) {
    for (; next < lines.size() && spoken.size() < pace.speakers; ++next) {
      SpokenLine& line = spoken.emplace_back(&tokenizer, &results[next]);
      DRAGOMAN_ASSIGN_OR_RETURN(line.id, engine->Open({.layout = options.layout,
                                                       .policy = options.policy,
                                                       .routed = options.routed,
                                                       .skip_offset = options.skip_offset},
                                                      &line.sink));
      line.begin = now;
      if (next < pace.speakers) {
        line.begin +=
            pace.seconds_per_word * static_cast<double>(next) / static_cast<double>(pace.speakers);
      }
      line.words =
          EncodeLine(tokenizer, lines[next], options.source_language, options.automatic_segments);
      for (size_t w = 1; w <= line.words.size(); ++w) {
        line.result->arrival_seconds.push_back(static_cast<double>(w) * pace.seconds_per_word);
      }
    }
    double arrival = std::numeric_limits<double>::infinity();
    for (SpokenLine& line : spoken) {
      if (!line.finished) DRAGOMAN_RETURN_IF_ERROR(Say(engine, now, &line));
      arrival = std::min(arrival, line.NextArrival());
    }
    const TimePoint begin = clock->Now();
    if (engine->RunOneStep()) {
      now += std::chrono::duration<double>(clock->Now() - begin).count();
    } else {
      DRAGOMAN_CHECK_MSG(arrival < std::numeric_limits<double>::infinity(),
                         "engine is idle with lines that are said to the end");
      now = arrival;
    }
    for (SpokenLine& line : spoken) {
      line.result->emit_seconds.resize(line.result->delays.size(), now - line.begin);
    }
    spoken.remove_if([](const SpokenLine& line) { return line.sink.ended(); });
    if (options.progress && next - spoken.size() != reported) {
      reported = next - spoken.size();
      options.progress(reported);
    }
  }
  return results;
}

}  // namespace dragoman::model
