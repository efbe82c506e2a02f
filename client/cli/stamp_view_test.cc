#include "client/cli/stamp_view.h"

#include <chrono>
#include <string>

#include "gtest/gtest.h"

namespace dragoman::client {
namespace {

using std::chrono::milliseconds;

v1::StreamEvent Write(const std::string& text, uint32_t begin, uint32_t read_words) {
  v1::StreamEvent event;
  v1::TextDelta* delta = event.mutable_delta();
  delta->set_stable(text);
  v1::WordStamp* stamp = delta->add_words();
  stamp->set_begin(begin);
  stamp->set_end(begin + static_cast<uint32_t>(text.size()) - (text[0] == ' ' ? 1 : 0));
  stamp->set_read_words(read_words);
  return event;
}

v1::StreamEvent Final(const std::string& text, uint32_t begin, uint32_t end, uint32_t words) {
  v1::StreamEvent event;
  v1::SegmentFinal* final = event.mutable_segment_final();
  final->set_text(text);
  final->mutable_source_begin()->set_bytes(begin);
  final->mutable_source_end()->set_bytes(end);
  final->mutable_source_end()->set_words(words);
  return event;
}

TEST(StampViewTest, InterleavesReadsAndWritesWithTimesAndLag) {
  StampView view("en", "de");
  std::string out;
  out += view.OnSource("The ", milliseconds(200));
  out += view.OnSource("cats ", milliseconds(700));
  out += view.OnSource("sleep. ", milliseconds(1200));
  out += view.OnEvent(Write("Die", 0, 3), milliseconds(1240));
  out += view.OnEvent(Write(" Katzen", 4, 3), milliseconds(1250));
  out += view.OnEvent(Final("Die Katzen", 0, 16, 3), milliseconds(1300));
  out += view.OnSource("Yes. ", milliseconds(1700));
  out += view.OnEvent(Write("Ja.", 0, 4), milliseconds(1800));
  out += view.OnEnd();

  EXPECT_EQ(out,
            "    time  event   read  written  lag  word\n"
            "   0.00s  READ       1        0       The\n"
            "   0.50s  READ       2        0       cats\n"
            "   1.00s  READ       3        0       sleep.\n"
            "   1.04s  WRITE      3        1    3  Die\n"
            "   1.05s  WRITE      3        2    2  Katzen\n"
            "   1.10s  FINAL                       en: The cats sleep.\n"
            "                                      de: Die Katzen\n"
            "   1.50s  READ       4        2       Yes.\n"
            "   1.60s  WRITE      4        3    1  Ja.\n");
}

TEST(StampViewTest, TheEndOfTheSourceReadsTheLastWord) {
  StampView view("en", "de");
  std::string out = view.OnSource("one two", milliseconds(0));
  out += view.OnSourceEnd(milliseconds(100));
  out += view.OnSourceEnd(milliseconds(200));

  EXPECT_EQ(out,
            "    time  event   read  written  lag  word\n"
            "   0.00s  READ       1        0       one\n"
            "   0.10s  READ       2        0       two\n");
}

TEST(StampViewTest, AWordThatComesInPiecesIsReadOnce) {
  StampView view("en", "de");
  std::string out = view.OnSource("ca", milliseconds(0));
  out += view.OnSource("ts", milliseconds(50));
  out += view.OnSource(" \n", milliseconds(100));

  EXPECT_EQ(out,
            "    time  event   read  written  lag  word\n"
            "   0.10s  READ       1        0       cats\n");
}

TEST(StampViewTest, StampsOutsideTheTextDoNotBreakIt) {
  StampView view("en", "de");
  v1::StreamEvent event = Write("Die", 0, 1);
  event.mutable_delta()->mutable_words(0)->set_begin(90);
  event.mutable_delta()->mutable_words(0)->set_end(99);

  EXPECT_EQ(view.OnEvent(event, milliseconds(0)),
            "    time  event   read  written  lag  word\n"
            "   0.00s  WRITE      1        1    1  \n");
}

}  // namespace
}  // namespace dragoman::client
