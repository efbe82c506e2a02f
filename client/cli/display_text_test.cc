#include "client/cli/display_text.h"

#include "base/random.h"
#include "base/strings.h"
#include "gtest/gtest.h"

namespace dragoman::client {
namespace {

TEST(DisplayTextTest, CountsColumns) {
  EXPECT_EQ(DisplayWidth(""), 0u);
  EXPECT_EQ(DisplayWidth("Stra\u00dfe"), 6u);
  EXPECT_EQ(DisplayWidth("e\u0301"), 1u);
  EXPECT_EQ(DisplayWidth("\u4f60\u597d"), 4u);
  EXPECT_EQ(DisplayWidth("\U0001F600"), 2u);
}

TEST(DisplayTextTest, FitsTheEndBehindAnEllipsis) {
  EXPECT_EQ(FitEnd("short", 5), "short");
  EXPECT_EQ(FitEnd("longer text", 5), "\u2026text");
  EXPECT_EQ(FitEnd("longer", 1), "\u2026");
  EXPECT_EQ(FitEnd("longer", 0), "");
  EXPECT_EQ(FitEnd("xx\u4f60\u597d", 4), "\u2026\u597d");  // two columns do not fit in one
  EXPECT_EQ(FitEnd("abe\u0301z", 2), "\u2026z");           // no mark without its letter
}

TEST(DisplayTextTest, FittedTextIsNeverWiderThanItsRoom) {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    RandomStream random(seed, "fit-test");
    std::string text;
    for (uint64_t i = random.NextBelow(30); i > 0; --i) {
      const uint32_t alphabet[] = {'a', 0xE4, 0x301, 0x4F60, 0x1F600, ' '};
      AppendUtf8(alphabet[random.NextBelow(6)], &text);
    }
    for (size_t columns = 0; columns < 20; ++columns) {
      EXPECT_LE(DisplayWidth(FitEnd(text, columns)), columns) << "seed " << seed;
    }
  }
}

TEST(DisplayTextTest, OneLineCannotSteerATerminal) {
  EXPECT_EQ(OneLine("a\x1b[2Jb"), "a[2Jb");
  EXPECT_EQ(OneLine("a\u009b31mb\x7f"), "a31mb");
  EXPECT_EQ(OneLine(" two\n lines\t\r\n"), "two lines");
  EXPECT_EQ(OneLine("ill\xff-formed"), "ill-formed");
  EXPECT_EQ(OneLine(std::string("nul\0s", 5)), "nuls");
}

}  // namespace
}  // namespace dragoman::client
