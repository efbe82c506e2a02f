// From bytes as they arrive to encoded source words with segment cuts (streaming.md sections 6, 7):
// word splitter, per-word normalisation, segmenter, encoder. Any split of the same bytes gives the
// same words. One thread only.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "model/tokenizer/tokenizer.h"

namespace dragoman::model {

enum class WordCut { kNone, kBoundary, kLength };   // closes the segment after the word

struct EncodedWord {
  std::string text;              // after cleaning and NFC
  std::vector<TokenId> tokens;   // at least one
  WordCut cut = WordCut::kNone;
  uint64_t byte_end = 0;         // of the word in all bytes pushed so far
};

struct StreamingEncoderOptions {
  bool automatic_segments = true;        // SEGMENT_AUTO: sentence punctuation and blank lines
  bool newline_is_boundary = false;      // one line feed closes the segment
  uint32_t soft_segment_words = 48;      // then at [,;:]
  uint32_t hard_segment_words = 64;      // then anywhere; also with automatic_segments off
  size_t max_word_bytes = 4096;          // a longer run without blanks is cut into words
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
  uint64_t bytes_received() const;
  uint64_t words_completed() const;

 private:
  // (implementation detail of the room)
};

}  // namespace dragoman::model
