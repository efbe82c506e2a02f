// Makes bytes that come in any pieces into strings that end at code points: a message with a broken
// code point is unreadable as a whole for the server.
#pragma once

#include <string>
#include <string_view>

namespace dragoman::client {

// One thread only.
class Utf8HoldBack {
 public:
  // Takes the next bytes and returns what is whole now. A code point that `bytes` leaves open is
  // kept for the next call; ill-formed bytes become U+FFFD, one per maximal bad sequence.
  std::string Push(std::string_view bytes);

  // End of the input: an open code point becomes one U+FFFD.
  std::string Finish();

  size_t held_bytes() const { return held_.size(); }

 private:
  std::string held_;  // at most 3 bytes: the start of one code point
};

}  // namespace dragoman::client
