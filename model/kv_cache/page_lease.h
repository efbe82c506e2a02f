// RAII owner of the pages of one side of one stream, in row order.
// One thread only (the engine thread).
#pragma once

#include <cstddef>
#include <span>
#include <utility>
#include <vector>

#include "model/kv_cache/page_allocator.h"

namespace dragoman::model {

// Pages that hold `rows` rows.
constexpr size_t PagesForRows(int32_t rows) {
  return (static_cast<size_t>(rows) + kPageRows - 1) / kPageRows;
}

class PageLease {
 public:
  // `allocator` must outlive the lease. `max_rows` reserves the list, so that growing up to it does
  // not allocate.
  PageLease(PageAllocator* allocator, int32_t max_rows) : allocator_(allocator) {
    pages_.reserve(PagesForRows(max_rows));
  }
  ~PageLease() { Resize(0); }
  PageLease(PageLease&& other) noexcept
      : allocator_(other.allocator_), pages_(std::exchange(other.pages_, {})) {}
  PageLease& operator=(PageLease&&) = delete;
  PageLease(const PageLease&) = delete;
  PageLease& operator=(const PageLease&) = delete;

  // Takes or returns pages until exactly those for `rows` rows are held. The caller has checked
  // that enough pages are free.
  void Resize(int32_t rows) {
    const size_t wanted = PagesForRows(rows);
    while (pages_.size() < wanted) pages_.push_back(allocator_->Take());
    while (pages_.size() > wanted) {
      const PageId page = pages_.back();
      pages_.pop_back();
      allocator_->Return(page);
    }
  }

  std::span<const PageId> pages() const { return pages_; }

 private:
  PageAllocator* const allocator_;
  std::vector<PageId> pages_;
};

}  // namespace dragoman::model
