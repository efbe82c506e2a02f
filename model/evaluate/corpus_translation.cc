#include "model/evaluate/corpus_translation.h"

#include <list>
#include <utility>

#include "base/check.h"
#include "base/status_macros.h"

namespace dragoman::model {

absl::StatusOr<std::vector<TranslatedLine>> TranslateCorpus(
    Engine* engine, const Tokenizer& tokenizer, const std::vector<std::string>& lines,
    const CorpusTranslationOptions& options) {
  std::vector<TranslatedLine> results(lines.size());
  std::list<LineSink> open;
  const size_t slots = engine->stats().slots;
  size_t next = 0, reported = 0;
  while (next < lines.size() || !open.empty()) {
    while (next < lines.size() && open.size() < slots) {
      open.emplace_back(&tokenizer, &results[next]);
      DRAGOMAN_ASSIGN_OR_RETURN(const SequenceId id,
                                engine->Open({.layout = options.layout,
                                              .policy = options.policy,
                                              .routed = options.routed,
                                              .skip_offset = options.skip_offset},
                                             &open.back()));
      std::vector<SourceWord> words =
          EncodeLine(tokenizer, lines[next], options.source_language, options.automatic_segments);
      ++next;
      if (!words.empty()) DRAGOMAN_RETURN_IF_ERROR(engine->Append(id, std::move(words)));
      DRAGOMAN_RETURN_IF_ERROR(engine->Finish(id));
    }
    const bool worked = engine->RunOneStep();
    open.remove_if([](const LineSink& sink) { return sink.ended(); });
    DRAGOMAN_CHECK_MSG(worked || open.size() < slots, "engine is idle with open lines");
    if (options.progress && next - open.size() != reported) {
      reported = next - open.size();
      options.progress(reported);
    }
  }
  return results;
}

}  // namespace dragoman::model
