#include "model/evaluate/line_translation.h"

#include <utility>
#include <variant>

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

}  // namespace

std::vector<SourceWord> EncodeLine(const Tokenizer& tokenizer, const std::string& line,
                                   const std::string& source_language, bool automatic_segments) {
  StreamingEncoderOptions encoder_options;
  encoder_options.automatic_segments = automatic_segments;
  StreamingEncoder encoder(&tokenizer, source_language, encoder_options);
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

void LineSink::OnEvent(SequenceId, SequenceEvent event) {
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
    ended_ = true;
  }
}

}  // namespace dragoman::model
