// From bytes as they arrive to encoded source words with segment cuts (streaming.md sections 6, 7):
// word splitter, per-word normalisation, segmenter, encoder. Any split of the same bytes gives the
// same words.
//
// A word is given when the white space after it is seen. One exception: a word that no rule cuts
// and that a line feed follows is held until the next character that is not a blank shows whether a
// blank line closes the segment there (CompleteWord() gives it at once).
// One thread only.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/tokenizer/sentence_segmenter.h"
#include "model/tokenizer/tokenizer.h"
#include "model/tokenizer/word_splitter.h"

namespace dragoman::model {

struct EncodedWord {
  std::string text;             // after cleaning and NFC
  std::vector<TokenId> tokens;  // at least one
  WordCut cut = WordCut::kNone;
  // A segment that is still open closes before this word: a blank line followed after the word
  // before had been given, as in "word \n\n" with a blank at the line end.
  bool cut_before = false;
  uint64_t byte_end = 0;  // of the word in all bytes pushed so far
};

struct StreamingEncoderOptions {
  bool automatic_segments = true;    // SEGMENT_AUTO: sentence punctuation and blank lines
  bool newline_is_boundary = false;  // one line feed closes the segment; only when automatic
  uint32_t soft_segment_words = 48;  // then at [,;:]
  uint32_t hard_segment_words = 64;  // then anywhere; also with automatic_segments off
  size_t max_word_bytes = 4096;      // a longer run without blanks is cut into words
};

class StreamingEncoder {
 public:
  // `tokenizer` must outlive the encoder.
  StreamingEncoder(const Tokenizer* tokenizer, std::string_view source_language,
                   const StreamingEncoderOptions& options);
  // Adds bytes; appends the words that became complete.
  void Push(std::string_view bytes, std::vector<EncodedWord>* words);
  // White space or the end of source: completes a pending word. More bytes may follow.
  void CompleteWord(std::vector<EncodedWord>* words);
  // The open segment was closed from outside (end_segment): counters restart.
  void ResetSegment();
  uint64_t bytes_received() const { return splitter_.bytes_received(); }
  uint64_t words_completed() const { return words_completed_; }

 private:
  void OnWord(std::vector<EncodedWord>* words);
  void OnLineFeed(std::vector<EncodedWord>* words);
  void Emit(EncodedWord word, std::vector<EncodedWord>* words);
  void ReleaseHeld(WordCut cut, std::vector<EncodedWord>* words);

  const Tokenizer* const tokenizer_;
  const StreamingEncoderOptions options_;
  WordSplitter splitter_;
  SentenceSegmenter segmenter_;
  std::optional<EncodedWord> held_;  // waits for what follows its white space
  uint32_t line_feeds_ = 0;          // since the last word
  bool cut_before_next_ = false;
  bool first_in_segment_ = true;
  uint64_t words_completed_ = 0;
};

}  // namespace dragoman::model
