#include "client/api/utf8_hold_back.h"

#include "base/random.h"
#include "base/strings.h"
#include "gtest/gtest.h"

namespace dragoman::client {
namespace {

constexpr char kReplacement[] = "\xEF\xBF\xBD";

std::string WholeAtOnce(const std::string& bytes) {
  Utf8HoldBack hold_back;
  std::string text = hold_back.Push(bytes);
  return text + hold_back.Finish();
}

TEST(Utf8HoldBackTest, PassesWellFormedTextUnchanged) {
  const std::string text = "a\u00e9\u20ac\U0001F600\n";

  EXPECT_EQ(WholeAtOnce(text), text);
}

TEST(Utf8HoldBackTest, HoldsAnOpenCodePointUntilItIsWhole) {
  Utf8HoldBack hold_back;

  EXPECT_EQ(hold_back.Push("x\xF0\x9F"), "x");
  EXPECT_EQ(hold_back.held_bytes(), 2u);
  EXPECT_EQ(hold_back.Push("\x98"), "");
  EXPECT_EQ(hold_back.Push("\x80y"), "\xF0\x9F\x98\x80y");
  EXPECT_EQ(hold_back.held_bytes(), 0u);
}

TEST(Utf8HoldBackTest, TurnsAnOpenCodePointAtTheEndIntoOneReplacement) {
  Utf8HoldBack hold_back;

  EXPECT_EQ(hold_back.Push("a\xE2\x82"), "a");
  EXPECT_EQ(hold_back.Finish(), kReplacement);
  EXPECT_EQ(hold_back.Finish(), "");
}

// The counts are those of Unicode 15, section 3.9, "maximal subpart" (table 3-8 among others).
TEST(Utf8HoldBackTest, ReplacesEachMaximalBadSequenceOnce) {
  const std::string r = kReplacement;
  EXPECT_EQ(WholeAtOnce("\x80"), r);
  EXPECT_EQ(WholeAtOnce("\xC0\xAF"), r + r);
  EXPECT_EQ(WholeAtOnce("\xE0\x80\xAF"), r + r + r);
  EXPECT_EQ(WholeAtOnce("\xED\xA0\x80"), r + r + r);          // a surrogate
  EXPECT_EQ(WholeAtOnce("\xF4\x91\x92\x93"), r + r + r + r);  // past U+10FFFF
  EXPECT_EQ(WholeAtOnce("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF"
                        "A"),
            r + r + r + r + "A");
  EXPECT_EQ(WholeAtOnce("\xF0\x9F\x98"
                        "A"),
            r + "A");
}

TEST(Utf8HoldBackTest, AnyCutsGiveTheSameWellFormedText) {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    RandomStream random(seed, "hold-back-test");
    std::string bytes;
    while (bytes.size() < 40) {
      switch (random.NextBelow(3)) {
        case 0:
          bytes.push_back(static_cast<char>(random.NextBelow(256)));
          break;
        case 1:
          AppendUtf8(static_cast<uint32_t>(0x1F600 + random.NextBelow(64)), &bytes);
          break;
        default:
          AppendUtf8(static_cast<uint32_t>(0x80 + random.NextBelow(0x1000)), &bytes);
      }
    }
    Utf8HoldBack hold_back;
    std::string joined;
    for (size_t begin = 0; begin < bytes.size();) {
      const size_t size = 1 + random.NextBelow(5);
      const std::string piece = hold_back.Push(std::string_view(bytes).substr(begin, size));
      ASSERT_TRUE(IsValidUtf8(piece)) << "seed " << seed;
      joined += piece;
      begin += size;
    }
    joined += hold_back.Finish();
    ASSERT_EQ(joined, WholeAtOnce(bytes)) << "seed " << seed;
    ASSERT_TRUE(IsValidUtf8(joined)) << "seed " << seed;
  }
}

}  // namespace
}  // namespace dragoman::client
