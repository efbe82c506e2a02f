// From bytes as they arrive to cleaned words: a state machine over bytes (streaming.md section 7).
//   - A word is a maximal run of characters without White_Space. It ends when white space follows.
//   - Broken UTF-8 becomes one U+FFFD per maximal bad sequence; an incomplete tail is kept.
//   - NUL and C0 controls other than TAB and LF vanish, wherever they stand (so CR LF is LF).
//   - U+FEFF vanishes as the first character of the stream; later it is a character of its word.
//   - A run longer than max_word_bytes is cut into words between two characters.
//   - Each word is composed to NFC.
// Any split of the same bytes gives the same words. Memory is bounded by max_word_bytes.
// One thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace dragoman::model {

class WordSplitter {
 public:
  enum class Event {
    kNone,      // all bytes are used
    kWord,      // a word ended; take it with TakeWord()
    kLineFeed,  // a line feed, after the word before it was given
  };

  explicit WordSplitter(size_t max_word_bytes) : max_word_bytes_(max_word_bytes) {}

  // Uses bytes from the front of `bytes` up to the next event.
  Event Next(std::string_view* bytes);
  // The end of the source, or white space set from outside. kWord if a word was open.
  Event Complete();
  // The word that the last event gave, composed. Not empty.
  std::string TakeWord();
  // End of that word in all bytes seen so far.
  uint64_t word_end() const { return done_end_; }
  uint64_t bytes_received() const { return position_; }
  // Characters of a word were seen that is not complete yet.
  bool has_open_word() const { return !open_.empty(); }
  // After kWord: the word was ended by a line feed, which is the next event.
  bool line_feed_follows() const { return line_feed_follows_; }

 private:
  // Handles one character that ended at position_.
  Event OnCharacter(uint32_t code_point, std::string_view encoded);
  void CloseWord();

  const size_t max_word_bytes_;
  std::string tail_;  // incomplete UTF-8, at most 3 bytes
  std::string open_;  // the word so far
  std::string done_;  // the word that the last event gave
  uint64_t open_end_ = 0;
  uint64_t done_end_ = 0;
  uint64_t position_ = 0;
  bool line_feed_follows_ = false;  // the line feed that ended the word is still to be reported
  bool at_start_ = true;
};

}  // namespace dragoman::model
