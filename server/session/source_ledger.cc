#include "server/session/source_ledger.h"

#include <algorithm>

namespace dragoman::server {

void SourceLedger::AddWord(uint64_t byte_end, uint32_t tokens, TimePoint arrival) {
  entries_.push_back(
      {static_cast<uint32_t>(byte_end), entries_.back().tokens_end + tokens, arrival});
}

const SourceLedger::Entry& SourceLedger::EntryOf(uint32_t words) const {
  const uint32_t clamped = std::clamp(words, first_, this->words());
  return entries_[clamped - first_];
}

SourcePosition SourceLedger::At(uint32_t words) const {
  const uint32_t clamped = std::clamp(words, first_, this->words());
  const Entry& entry = EntryOf(clamped);
  return {entry.byte_end, clamped, entry.tokens_end};
}

TimePoint SourceLedger::ArrivalOf(uint32_t word) const { return EntryOf(word).arrival; }

void SourceLedger::Forget(uint32_t words) {
  while (first_ < words && entries_.size() > 1) {
    entries_.pop_front();
    ++first_;
  }
}

}  // namespace dragoman::server
