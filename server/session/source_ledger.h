// Where each source word of a session ends, in bytes and tokens, and when it arrived. Words that no
// open segment needs are forgotten, so an endless stream has bounded memory. One thread only.
#pragma once

#include <cstdint>
#include <deque>

#include "base/clock.h"
#include "server/session/session_event.h"

namespace dragoman::server {

class SourceLedger {
 public:
  SourceLedger() { entries_.push_back({}); }

  // `byte_end` counts all bytes of the session up to the end of the word.
  void AddWord(uint64_t byte_end, uint32_t tokens, TimePoint arrival);
  // Position after `words` words; words that were forgotten give the oldest position known.
  SourcePosition At(uint32_t words) const;
  // When word number `word` (1-based) was complete.
  TimePoint ArrivalOf(uint32_t word) const;
  // Positions before `words` will not be asked for again.
  void Forget(uint32_t words);

  uint32_t words() const { return first_ + static_cast<uint32_t>(entries_.size()) - 1; }
  size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    uint32_t byte_end = 0;
    uint32_t tokens_end = 0;
    TimePoint arrival{};
  };
  const Entry& EntryOf(uint32_t words) const;

  uint32_t first_ = 0;         // number of words that entries_[0] stands for
  std::deque<Entry> entries_;  // never empty; entry 0 of a fresh ledger is the start
};

}  // namespace dragoman::server
