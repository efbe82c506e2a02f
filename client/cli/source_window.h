// The source text that was sent and has no final yet, so that a view can show the source of a
// segment from the byte span in its final.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace dragoman::client {

// One thread only.
class SourceWindow {
 public:
  void Append(std::string_view text) { text_.append(text); }
  // Source bytes [begin, end) of the session, as far as they are still held.
  std::string Slice(uint32_t begin, uint32_t end) const;
  // Bytes before `position` will not be asked for again.
  void Forget(uint32_t position);
  // All that is held.
  const std::string& text() const { return text_; }

 private:
  std::string text_;
  uint64_t begin_ = 0;  // session position of text_[0]
};

}  // namespace dragoman::client
