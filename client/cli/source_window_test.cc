#include "client/cli/source_window.h"

#include "gtest/gtest.h"

namespace dragoman::client {
namespace {

TEST(SourceWindowTest, SlicesBySessionPositionAfterForgetting) {
  SourceWindow window;
  window.Append("One. Two. ");
  window.Append("Three.");

  EXPECT_EQ(window.Slice(5, 9), "Two.");
  window.Forget(5);
  EXPECT_EQ(window.text(), "Two. Three.");
  EXPECT_EQ(window.Slice(5, 9), "Two.");
  EXPECT_EQ(window.Slice(10, 16), "Three.");
}

TEST(SourceWindowTest, GivesWhatIsHeldForAPositionThatMakesNoSense) {
  SourceWindow window;
  window.Append("abc");
  window.Forget(1);

  EXPECT_EQ(window.Slice(0, 99), "bc");
  EXPECT_EQ(window.Slice(3, 2), "");
  window.Forget(0);
  window.Forget(99);
  EXPECT_EQ(window.text(), "");
  window.Append("def");
  EXPECT_EQ(window.Slice(3, 6), "def");
}

}  // namespace
}  // namespace dragoman::client
