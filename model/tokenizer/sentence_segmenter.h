// Decides after which source word a segment closes (streaming.md section 6): sentence end marks
// with optional closing quotes or brackets, but not after an abbreviation of the language, a single
// letter or a number; else a soft limit at [,;:], else a hard limit. Looks at no later word.
// One thread only.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace dragoman::model {

enum class WordCut { kNone, kBoundary, kLength };  // closes the segment after the word

struct SegmentRules {
  bool automatic = true;  // sentence marks and the soft limit; the hard limit always holds
  uint32_t soft_words = 48;
  uint32_t hard_words = 64;
};

class SentenceSegmenter {
 public:
  // `language`: "de", "en-US" and so on; a language without list has no abbreviations.
  SentenceSegmenter(std::string_view language, const SegmentRules& rules);

  // The cut after the next word of the open segment.
  WordCut Add(std::string_view word);
  // The segment was closed, by whatever cause: counting starts again.
  void Restart() { words_ = 0; }
  uint32_t words() const { return words_; }

 private:
  const std::string language_;
  const SegmentRules rules_;
  uint32_t words_ = 0;
};

// True when `word` ends a sentence. Pure.
bool EndsSentence(std::string_view word, std::string_view language);

}  // namespace dragoman::model
