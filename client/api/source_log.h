// Source that a session has been given and whose translation is not final yet: what would have to
// be sent again if the session broke. Text is kept in order with the flushes and segment ends that
// have no answer.
//
// One thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

namespace dragoman::client {

class SourceLog {
 public:
  struct Entry {
    enum class Kind { kText, kFlush, kEndSegment };
    Kind kind = Kind::kText;
    std::string text;    // kText: whole code points
    uint32_t id = 0;     // the others
    uint64_t begin = 0;  // bytes of source before it
  };

  void AppendText(std::string_view text);
  void AppendFlush(uint32_t id) { entries_.push_back({Entry::Kind::kFlush, "", id, end_bytes_}); }
  void AppendEndSegment(uint32_t id) {
    entries_.push_back({Entry::Kind::kEndSegment, "", id, end_bytes_});
  }

  // Everything before `bytes` of source is final. Marks stay until they are answered.
  void Confirm(uint64_t bytes);
  // The answer to the first mark with this id that was sent.
  void Answer(uint32_t id);

  // The entry to send next, nullptr when there is none. Sent() goes on to the one after it.
  const Entry* Next() const { return cursor_ < entries_.size() ? &entries_[cursor_] : nullptr; }
  void Sent() { ++cursor_; }
  // All over again, for a new session.
  void Rewind() { cursor_ = 0; }

  // True when text after the last final was sent.
  bool open() const;
  uint64_t confirmed_bytes() const { return confirmed_bytes_; }
  size_t kept_bytes() const { return static_cast<size_t>(end_bytes_ - confirmed_bytes_); }
  size_t unsent_bytes() const;

 private:
  std::deque<Entry> entries_;
  size_t cursor_ = 0;  // entries before it were sent
  uint64_t end_bytes_ = 0;
  uint64_t confirmed_bytes_ = 0;
};

}  // namespace dragoman::client
