// The pool of KV pages: which page numbers are free. It knows no streams and no tensors.
// One thread only (the engine thread).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

namespace dragoman::model {

constexpr int32_t kPageRows = 16;
using PageId = int32_t;

class PageAllocator {
 public:
  // Pages 0 .. max_pages - 1, all free.
  explicit PageAllocator(size_t max_pages);
  PageAllocator(const PageAllocator&) = delete;
  PageAllocator& operator=(const PageAllocator&) = delete;

  size_t total() const { return used_.size(); }
  size_t free() const { return free_.size(); }

  // A free page. The caller has checked free() > 0.
  PageId Take();
  // Gives a taken page back and tells the release callback. A page that is not taken is a bug of
  // ours and aborts: a page with two owners would mix the text of two streams.
  void Return(PageId page);

  // Called with each page that comes back (tests poison its memory).
  void SetReleased(std::function<void(PageId)> callback) { released_ = std::move(callback); }

 private:
  std::vector<PageId> free_;   // a stack: the page used last is the warmest
  std::vector<uint8_t> used_;  // [pages]
  std::function<void(PageId)> released_;
};

}  // namespace dragoman::model
