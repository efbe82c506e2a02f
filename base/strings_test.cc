#include "base/strings.h"

#include "gtest/gtest.h"

namespace dragoman {
namespace {

TEST(StringsTest, Utf8RoundTripsEveryScalarValue) {
  for (uint32_t code_point = 0; code_point <= 0x10FFFF; ++code_point) {
    if (code_point >= 0xD800 && code_point <= 0xDFFF) continue;
    std::string text;
    AppendUtf8(code_point, &text);
    const size_t length = Utf8SequenceLength(text);
    ASSERT_EQ(length, text.size()) << code_point;
    ASSERT_EQ(DecodeUtf8(text, length), code_point);
  }
}

TEST(StringsTest, RefusesOverlongSurrogateAndCutSequences) {
  for (const char* bad : {"\xC0\x80", "\xE0\x80\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80",
                          "\xE2\x82", "\x80", "\xFF"}) {
    EXPECT_FALSE(IsValidUtf8(bad)) << bad;
  }
  EXPECT_TRUE(IsValidUtf8("häuser €😀"));
}

TEST(StringsTest, SplitOnWhitespaceDropsEmptyParts) {
  EXPECT_EQ(SplitOnWhitespace("  a b\t\nc "), (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_TRUE(SplitOnWhitespace(" \n").empty());
}

TEST(StringsTest, ReplaceAllDoesNotLookAtWhatItPutIn) {
  EXPECT_EQ(ReplaceAll("a--b---", "--", "-"), "a-b--");
  EXPECT_EQ(ReplaceAll("aaa", "a", "aa"), "aaaaaa");
  EXPECT_EQ(ReplaceAll("none", "x", ""), "none");
}

}  // namespace
}  // namespace dragoman
