#include "model/kv_cache/page_allocator.h"

#include "base/check.h"

namespace dragoman::model {

PageAllocator::PageAllocator(size_t max_pages) : used_(max_pages, 0) {
  free_.reserve(max_pages);
  for (size_t i = max_pages; i > 0; --i) free_.push_back(static_cast<PageId>(i - 1));
}

PageId PageAllocator::Take() {
  DRAGOMAN_CHECK(!free_.empty());
  const PageId page = free_.back();
  free_.pop_back();
  used_[page] = 1;
  return page;
}

void PageAllocator::Return(PageId page) {
  DRAGOMAN_CHECK(page >= 0 && static_cast<size_t>(page) < used_.size() && used_[page] == 1);
  used_[page] = 0;
  free_.push_back(page);
  if (released_) released_(page);
}

}  // namespace dragoman::model
