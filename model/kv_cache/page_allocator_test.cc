#include "model/kv_cache/page_allocator.h"

#include <set>
#include <utility>

#include "gtest/gtest.h"
#include "model/kv_cache/page_lease.h"

namespace dragoman::model {
namespace {

TEST(PageAllocatorTest, HandsOutEachPageOnce) {
  PageAllocator allocator(5);

  std::set<PageId> pages;
  while (allocator.free() > 0) pages.insert(allocator.Take());

  EXPECT_EQ(pages, (std::set<PageId>{0, 1, 2, 3, 4}));
}

TEST(PageAllocatorTest, TellsEachReturnedPage) {
  PageAllocator allocator(3);
  std::vector<PageId> returned;
  allocator.SetReleased([&](PageId page) { returned.push_back(page); });
  const PageId first = allocator.Take();
  const PageId second = allocator.Take();

  allocator.Return(second);
  allocator.Return(first);

  EXPECT_EQ(returned, (std::vector<PageId>{second, first}));
  EXPECT_EQ(allocator.free(), 3u);
}

TEST(PageAllocatorDeathTest, ReturningAPageTwiceAborts) {
  PageAllocator allocator(2);
  const PageId page = allocator.Take();
  allocator.Return(page);

  EXPECT_DEATH(allocator.Return(page), "used_");
}

TEST(PageLeaseTest, HoldsExactlyThePagesOfItsRows) {
  PageAllocator allocator(4);
  PageLease lease(&allocator, 64);

  for (const auto& [rows, pages] : std::vector<std::pair<int32_t, size_t>>{
           {0, 0}, {1, 1}, {16, 1}, {17, 2}, {64, 4}, {33, 3}}) {
    lease.Resize(rows);
    EXPECT_EQ(lease.pages().size(), pages) << rows << " rows";
    EXPECT_EQ(allocator.free(), 4 - pages) << rows << " rows";
  }
}

TEST(PageLeaseTest, ReturnsItsPagesWhenItGoesAndNotWhenItMoves) {
  PageAllocator allocator(4);
  {
    PageLease lease(&allocator, 64);
    lease.Resize(40);
    const PageLease moved(std::move(lease));
    EXPECT_EQ(allocator.free(), 1u);
    EXPECT_EQ(moved.pages().size(), 3u);
  }
  EXPECT_EQ(allocator.free(), 4u);
}

}  // namespace
}  // namespace dragoman::model
