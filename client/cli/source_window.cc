#include "client/cli/source_window.h"

#include <algorithm>

namespace dragoman::client {

std::string SourceWindow::Slice(uint32_t begin, uint32_t end) const {
  const uint64_t limit = begin_ + text_.size();
  const uint64_t first = std::clamp<uint64_t>(begin, begin_, limit);
  const uint64_t last = std::clamp<uint64_t>(end, first, limit);
  return text_.substr(first - begin_, last - first);
}

void SourceWindow::Forget(uint32_t position) {
  if (position <= begin_) return;
  const uint64_t count = std::min<uint64_t>(position - begin_, text_.size());
  text_.erase(0, count);
  begin_ += count;
}

}  // namespace dragoman::client
