// Lets text out word by word at a steady rate, as if it were spoken.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace dragoman::client {

// Knows time only from its arguments. One thread only.
class WordPacer {
 public:
  // words_per_second > 0. The first word is due when it is there; each later one at least one
  // period after the word before it. A pause of the source is not made up by a burst.
  explicit WordPacer(double words_per_second);

  void Push(std::string_view text) { text_.append(text); }
  // No more text: an open last word may go too.
  void Finish() { finished_ = true; }

  // The next word with the white space after it, if one is there and due.
  std::optional<std::string> Take(TimePoint now);
  // When Take() may have something; nullopt: not before more text or Finish().
  std::optional<TimePoint> NextDue() const;
  // All text was taken and none will come.
  bool done() const { return finished_ && text_.empty(); }
  size_t waiting_bytes() const { return text_.size(); }

 private:
  // Bytes of the first word with its white space, 0: none is complete.
  size_t CompleteWord() const;

  const Duration period_;
  std::string text_;
  bool finished_ = false;
  TimePoint due_ = TimePoint::min();
};

}  // namespace dragoman::client
