#include "model/tokenizer/word_splitter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "model/tokenizer/tokenizer_test_support.h"
#include "model/tokenizer/unicode_text.h"

namespace dragoman::model {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// Words of the chunks, a line feed as "\n", the open word completed at the end.
std::vector<std::string> Split(const std::vector<std::string>& chunks, size_t max_word_bytes = 64) {
  WordSplitter splitter(max_word_bytes);
  std::vector<std::string> events;
  for (const std::string& chunk : chunks) {
    std::string_view rest = chunk;
    for (auto event = splitter.Next(&rest); event != WordSplitter::Event::kNone;
         event = splitter.Next(&rest)) {
      events.push_back(event == WordSplitter::Event::kWord ? splitter.TakeWord() : "\n");
    }
  }
  while (splitter.Complete() == WordSplitter::Event::kWord) events.push_back(splitter.TakeWord());
  return events;
}

constexpr const char* kMark = "\xEF\xBF\xBD";

TEST(WordSplitterTest, WordsEndAtUnicodeWhiteSpace) {
  EXPECT_THAT(Split({"a b\tc\u00A0d\u2003e\u3000f\u2028g\u0085h"}),
              ElementsAre("a", "b", "c", "d", "e", "f", "g", "h"));
  EXPECT_THAT(Split({"a\u200Bb"}), ElementsAre("a\u200Bb"));
  EXPECT_THAT(Split({"  "}), IsEmpty());
}

TEST(WordSplitterTest, LineFeedsAreReportedAfterTheirWord) {
  EXPECT_THAT(Split({"a\n\nb \nc"}), ElementsAre("a", "\n", "\n", "b", "\n", "c"));
}

TEST(WordSplitterTest, ControlsVanishEvenInsideAWord) {
  EXPECT_THAT(Split({std::string("a\0b\x01\x1F"
                                 "c\x7F\r\nd",
                                 10)}),
              ElementsAre("abc\x7F", "\n", "d"));
}

TEST(WordSplitterTest, ByteOrderMarkVanishesOnlyAtTheStart) {
  EXPECT_THAT(Split({"\xEF", "\xBB",
                     "\xBF"
                     "a \uFEFF"
                     "b"}),
              ElementsAre("a",
                          "\uFEFF"
                          "b"));
}

TEST(WordSplitterTest, BrokenUtf8IsOneMarkPerMaximalBadSequence) {
  const std::string mark = kMark;
  EXPECT_THAT(Split({"\xF0\x9F\x91"
                     "a"}),
              ElementsAre(mark + "a"));
  EXPECT_THAT(Split({"\xC3(\xFF\xC0\xAF"}), ElementsAre(mark + "(" + mark + mark + mark));
  EXPECT_THAT(Split({"\xED\xA0\x80"}), ElementsAre(mark + mark + mark));  // a lone surrogate
  EXPECT_THAT(Split({"\xF4\x90\x80\x80"}), ElementsAre(mark + mark + mark + mark));
  EXPECT_THAT(Split({"a\xE2\x96"}), ElementsAre("a" + mark));  // incomplete at the end
  EXPECT_THAT(Split({"\xE2\x96 b"}), ElementsAre(mark, "b"));
}

TEST(WordSplitterTest, IncompleteCharactersWaitForTheirRest) {
  WordSplitter splitter(64);
  std::string_view head = "caf\xC3";
  std::string_view tail = "\xA9 ";

  EXPECT_EQ(splitter.Next(&head), WordSplitter::Event::kNone);
  EXPECT_EQ(splitter.Next(&tail), WordSplitter::Event::kWord);

  EXPECT_EQ(splitter.TakeWord(), "café");
  EXPECT_EQ(splitter.word_end(), 5u);
  EXPECT_EQ(splitter.bytes_received(), 6u);
}

TEST(WordSplitterTest, WordsAreComposed) {
  EXPECT_THAT(Split({"e\u0301te\u0301 a\u0308"}), ElementsAre("été", "ä"));
}

TEST(WordSplitterTest, LongRunsAreCutBetweenCharacters) {
  EXPECT_THAT(Split({"aaaaaaaaaa"}, 4), ElementsAre("aaaa", "aaaa", "aa"));
  EXPECT_THAT(Split({"ééé"}, 5), ElementsAre("éé", "é"));
  EXPECT_THAT(Split({"aaa\xC3"}, 4), ElementsAre("aaa", kMark));
}

// Another way to the same result: repair and clean the whole text, then cut it.
std::vector<std::string> SplitWhole(const std::string& bytes) {
  std::vector<std::string> events;
  std::string word;
  bool first = true;
  const std::string repaired = ReplaceBrokenUtf8(bytes);
  for (size_t i = 0; i < repaired.size();) {
    const size_t length = Utf8SequenceLength(std::string_view(repaired).substr(i));
    const std::string character = repaired.substr(i, length);
    const uint32_t c = DecodeUtf8(character, length);
    i += length;
    if (std::exchange(first, false) && c == 0xFEFF) continue;
    if (c < 0x20 && c != '\t' && c != '\n') continue;
    if (!IsUnicodeWhiteSpace(c)) {
      word += character;
      continue;
    }
    if (!word.empty()) events.push_back(NormalizeNfc(std::exchange(word, {})));
    if (c == '\n') events.push_back("\n");
  }
  if (!word.empty()) events.push_back(NormalizeNfc(word));
  return events;
}

TEST(WordSplitterTest, P8_AnySplitOfTheSameBytesGivesTheSameWords) {
  RandomStream random(12345, "splits");
  for (int round = 0; round < 1000; ++round) {
    std::string bytes = RandomText(&random, 1 + random.NextBelow(60));
    for (uint64_t i = random.NextBelow(4); i > 0; --i) {  // damage
      bytes[random.NextBelow(bytes.size())] = static_cast<char>(random.NextBelow(256));
    }
    std::vector<std::string> chunks;
    for (size_t begin = 0; begin < bytes.size();) {
      const size_t length = random.NextBelow(6);  // empty chunks too
      chunks.push_back(bytes.substr(begin, length));
      begin += length;
    }

    EXPECT_EQ(Split(chunks, 4096), SplitWhole(bytes)) << "round " << round;
  }
}

}  // namespace
}  // namespace dragoman::model
