#include "model/tokenizer/streaming_encoder.h"

#include <utility>

namespace dragoman::model {
namespace {

SegmentRules RulesOf(const StreamingEncoderOptions& options) {
  SegmentRules rules;
  rules.automatic = options.automatic_segments;
  rules.soft_words = options.soft_segment_words;
  rules.hard_words = options.hard_segment_words;
  return rules;
}

}  // namespace

StreamingEncoder::StreamingEncoder(const Tokenizer* tokenizer, std::string_view source_language,
                                   const StreamingEncoderOptions& options)
    : tokenizer_(tokenizer),
      options_(options),
      splitter_(options.max_word_bytes),
      segmenter_(source_language, RulesOf(options)) {}

void StreamingEncoder::Emit(EncodedWord word, std::vector<EncodedWord>* words) {
  ++words_completed_;
  first_in_segment_ = word.cut != WordCut::kNone;
  words->push_back(std::move(word));
}

void StreamingEncoder::ReleaseHeld(WordCut cut, std::vector<EncodedWord>* words) {
  if (!held_.has_value()) return;
  held_->cut = cut;
  if (cut != WordCut::kNone) segmenter_.Restart();
  Emit(*std::exchange(held_, std::nullopt), words);
}

void StreamingEncoder::OnWord(std::vector<EncodedWord>* words) {
  ReleaseHeld(WordCut::kNone, words);
  EncodedWord word;
  word.text = splitter_.TakeWord();
  word.byte_end = splitter_.word_end();
  word.tokens = tokenizer_->EncodeWord(word.text, first_in_segment_);
  if (word.tokens.empty()) return;  // nothing of it is left after normalisation
  line_feeds_ = 0;
  word.cut_before = std::exchange(cut_before_next_, false);
  word.cut = segmenter_.Add(word.text);
  if (word.cut == WordCut::kNone && options_.automatic_segments && splitter_.line_feed_follows()) {
    held_ = std::move(word);
  } else {
    Emit(std::move(word), words);
  }
}

void StreamingEncoder::OnLineFeed(std::vector<EncodedWord>* words) {
  if (!options_.automatic_segments) return;
  ++line_feeds_;
  if (!options_.newline_is_boundary && line_feeds_ < 2) return;
  if (held_.has_value()) {
    ReleaseHeld(WordCut::kBoundary, words);
  } else if (segmenter_.words() > 0) {
    segmenter_.Restart();
    first_in_segment_ = true;
    cut_before_next_ = true;
  }
}

void StreamingEncoder::Push(std::string_view bytes, std::vector<EncodedWord>* words) {
  for (;;) {
    switch (splitter_.Next(&bytes)) {
      case WordSplitter::Event::kWord:
        OnWord(words);
        break;
      case WordSplitter::Event::kLineFeed:
        OnLineFeed(words);
        break;
      case WordSplitter::Event::kNone:
        if (splitter_.has_open_word()) ReleaseHeld(WordCut::kNone, words);
        return;
    }
  }
}

void StreamingEncoder::CompleteWord(std::vector<EncodedWord>* words) {
  while (splitter_.Complete() == WordSplitter::Event::kWord) OnWord(words);
  ReleaseHeld(WordCut::kNone, words);
}

void StreamingEncoder::ResetSegment() {
  segmenter_.Restart();
  first_in_segment_ = true;
  cut_before_next_ = false;
}

}  // namespace dragoman::model
