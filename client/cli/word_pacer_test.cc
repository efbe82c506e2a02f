#include "client/cli/word_pacer.h"

#include <chrono>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace dragoman::client {
namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;

constexpr TimePoint kStart{std::chrono::hours(1)};

// Takes all words, moving time to each due time; returns "offset_ms word".
std::vector<std::string> TakeAll(WordPacer* pacer, TimePoint now = kStart) {
  std::vector<std::string> taken;
  while (const auto due = pacer->NextDue()) {
    now = std::max(now, *due);
    const auto word = pacer->Take(now);
    if (!word) return {"due, but nothing came"};
    const auto offset = std::chrono::duration_cast<milliseconds>(now - kStart);
    taken.push_back(std::to_string(offset.count()) + " " + *word);
  }
  return taken;
}

TEST(WordPacerTest, LetsWordsOutAtTheRate) {
  WordPacer pacer(4.0);
  pacer.Push("The cats sleep.\nAnd");
  pacer.Finish();

  EXPECT_THAT(TakeAll(&pacer), ElementsAre("0 The ", "250 cats ", "500 sleep.\n", "750 And"));
  EXPECT_TRUE(pacer.done());
}

TEST(WordPacerTest, HoldsAWordThatMayStillGrow) {
  WordPacer pacer(4.0);
  pacer.Push("The ca");

  EXPECT_THAT(TakeAll(&pacer), ElementsAre("0 The "));
  EXPECT_FALSE(pacer.NextDue().has_value());
  EXPECT_FALSE(pacer.done());

  pacer.Push("ts ");
  EXPECT_THAT(TakeAll(&pacer), ElementsAre("250 cats "));
}

TEST(WordPacerTest, NothingComesBeforeItIsDue) {
  WordPacer pacer(10.0);
  pacer.Push("a b ");

  EXPECT_EQ(pacer.Take(kStart), "a ");
  EXPECT_FALSE(pacer.Take(kStart + milliseconds(99)).has_value());
  EXPECT_EQ(pacer.NextDue(), kStart + milliseconds(100));
  EXPECT_EQ(pacer.Take(kStart + milliseconds(100)), "b ");
}

TEST(WordPacerTest, LateWakeUpsDoNotAddUp) {
  WordPacer pacer(10.0);
  pacer.Push("a b c ");

  EXPECT_TRUE(pacer.Take(kStart).has_value());
  EXPECT_TRUE(pacer.Take(kStart + milliseconds(130)).has_value());  // 30 ms late
  EXPECT_EQ(pacer.NextDue(), kStart + milliseconds(200));
}

TEST(WordPacerTest, APauseIsNotMadeUpByABurst) {
  WordPacer pacer(10.0);
  pacer.Push("a ");
  EXPECT_TRUE(pacer.Take(kStart).has_value());
  pacer.Push("b c ");

  EXPECT_TRUE(pacer.Take(kStart + milliseconds(5000)).has_value());
  EXPECT_FALSE(pacer.Take(kStart + milliseconds(5001)).has_value());
  EXPECT_EQ(pacer.NextDue(), kStart + milliseconds(5100));
}

TEST(WordPacerTest, KeepsEveryByte) {
  const std::string text = "  lead and \t tabs\n\n  trail  ";
  WordPacer pacer(100.0);
  pacer.Push(text);
  pacer.Finish();
  std::string joined;
  TimePoint now = kStart;
  while (const auto due = pacer.NextDue()) {
    now = std::max(now, *due);
    joined += pacer.Take(now).value_or("");
  }

  EXPECT_EQ(joined, text);
  EXPECT_TRUE(pacer.done());
}

}  // namespace
}  // namespace dragoman::client
