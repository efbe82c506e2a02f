#include "client/api/source_log.h"

#include <algorithm>
#include <utility>

namespace dragoman::client {
namespace {

constexpr size_t kEntryBytes = 4096;

bool IsBlank(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

}  // namespace

void SourceLog::AppendText(std::string_view text) {
  while (!text.empty()) {
    size_t size = std::min(text.size(), kEntryBytes);
    while (size < text.size() && (static_cast<unsigned char>(text[size]) & 0xC0) == 0x80) ++size;
    entries_.push_back({Entry::Kind::kText, std::string(text.substr(0, size)), 0, end_bytes_});
    end_bytes_ += size;
    text.remove_prefix(size);
  }
}

void SourceLog::Confirm(uint64_t bytes) {
  bytes = std::clamp(bytes, confirmed_bytes_, end_bytes_);
  confirmed_bytes_ = bytes;
  std::deque<Entry> kept;
  size_t kept_before_cursor = 0;
  for (size_t i = 0; i < entries_.size(); ++i) {
    Entry& entry = entries_[i];
    const uint64_t end = entry.begin + entry.text.size();
    if (entry.kind == Entry::Kind::kText && end <= bytes) continue;
    if (entry.kind == Entry::Kind::kText && entry.begin < bytes) {
      entry.text.erase(0, static_cast<size_t>(bytes - entry.begin));
      entry.begin = bytes;
    }
    kept.push_back(std::move(entry));
    if (i < cursor_) ++kept_before_cursor;
  }
  entries_ = std::move(kept);
  cursor_ = kept_before_cursor;
}

void SourceLog::Answer(uint32_t id) {
  for (size_t i = 0; i < cursor_; ++i) {
    if (entries_[i].kind == Entry::Kind::kText || entries_[i].id != id) continue;
    entries_.erase(entries_.begin() + static_cast<std::ptrdiff_t>(i));
    --cursor_;
    return;
  }
}

bool SourceLog::open() const {
  for (size_t i = 0; i < cursor_; ++i) {
    const std::string& text = entries_[i].text;
    if (!std::all_of(text.begin(), text.end(), IsBlank)) return true;
  }
  return false;
}

size_t SourceLog::unsent_bytes() const {
  const Entry* const next = Next();
  return next == nullptr ? 0 : static_cast<size_t>(end_bytes_ - next->begin);
}

}  // namespace dragoman::client
