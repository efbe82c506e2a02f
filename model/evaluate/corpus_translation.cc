#include "model/evaluate/corpus_translation.h"

#include <utility>
#include <variant>

#include "base/check.h"
#include "base/status_macros.h"
#include "model/tokenizer/detokenizer.h"
#include "model/tokenizer/streaming_encoder.h"

namespace dragoman::model {
namespace {

SegmentCut CutOf(WordCut cut) {
  switch (cut) {
    case WordCut::kNone:
      return SegmentCut::kNone;
    case WordCut::kBoundary:
      return SegmentCut::kBoundary;
    case WordCut::kLength:
      return SegmentCut::kLength;
  }
  return SegmentCut::kNone;
}

std::vector<SourceWord> EncodeLine(const Tokenizer& tokenizer, const std::string& line,
                                   const CorpusTranslationOptions& options) {
  StreamingEncoderOptions encoder_options;
  encoder_options.automatic_segments = options.automatic_segments;
  StreamingEncoder encoder(&tokenizer, options.source_language, encoder_options);
  std::vector<EncodedWord> words;
  encoder.Push(line, &words);
  encoder.CompleteWord(&words);
  std::vector<SourceWord> source;
  for (EncodedWord& word : words) {
    if (word.cut_before && !source.empty() && source.back().cut == SegmentCut::kNone) {
      source.back().cut = SegmentCut::kBoundary;
    }
    source.push_back({std::move(word.tokens), CutOf(word.cut)});
  }
  return source;
}

// Collects the events of one line.
class LineSink final : public SequenceSink {
 public:
  LineSink(const Tokenizer* tokenizer, TranslatedLine* line, size_t* open)
      : detokenizer_(tokenizer), line_(line), open_(open) {}

  void OnEvent(SequenceId, SequenceEvent event) override {
    if (const auto* word = std::get_if<WordCommitted>(&event)) {
      if (new_segment_ && !line_->text.empty()) line_->text += ' ';
      new_segment_ = false;
      line_->text += detokenizer_.Push(word->tokens);
      line_->tokens.insert(line_->tokens.end(), word->tokens.begin(), word->tokens.end());
      line_->delays.push_back(word->sequence_words_read);
    } else if (const auto* closed = std::get_if<SegmentClosed>(&event)) {
      line_->text += detokenizer_.Finish();
      new_segment_ = true;
      ++line_->segments;
      line_->source_words += closed->source_words;
      line_->source_tokens += closed->source_tokens;
      line_->decode_rows += closed->decode_rows;
      line_->probe_rows += closed->probe_rows;
      line_->eos_waits += closed->eos_waits;
      line_->modules_skipped += closed->modules_skipped;
      line_->guards += closed->guard != TargetGuard::kNone;
    } else if (const auto* ended = std::get_if<SequenceEnded>(&event)) {
      line_->status = ended->status;
      --*open_;
    }
  }

 private:
  Detokenizer detokenizer_;
  TranslatedLine* const line_;
  size_t* const open_;
  bool new_segment_ = false;
};

}  // namespace

absl::StatusOr<std::vector<TranslatedLine>> TranslateCorpus(
    Engine* engine, const Tokenizer& tokenizer, const std::vector<std::string>& lines,
    const CorpusTranslationOptions& options) {
  std::vector<TranslatedLine> results(lines.size());
  std::vector<std::unique_ptr<LineSink>> sinks(lines.size());
  const size_t slots = engine->stats().slots;
  size_t open = 0, next = 0, reported = 0;
  while (next < lines.size() || open > 0) {
    while (next < lines.size() && open < slots) {
      sinks[next] = std::make_unique<LineSink>(&tokenizer, &results[next], &open);
      DRAGOMAN_ASSIGN_OR_RETURN(const SequenceId id,
                                engine->Open({.layout = options.layout,
                                              .policy = options.policy,
                                              .routed = options.routed,
                                              .skip_offset = options.skip_offset},
                                             sinks[next].get()));
      ++open;
      std::vector<SourceWord> words = EncodeLine(tokenizer, lines[next], options);
      ++next;
      if (!words.empty()) DRAGOMAN_RETURN_IF_ERROR(engine->Append(id, std::move(words)));
      DRAGOMAN_RETURN_IF_ERROR(engine->Finish(id));
    }
    const bool worked = engine->RunOneStep();
    DRAGOMAN_CHECK_MSG(worked || open == 0 || open < slots, "engine is idle with open lines");
    if (options.progress && next - open != reported) {
      reported = next - open;
      options.progress(reported);
    }
  }
  return results;
}

}  // namespace dragoman::model
