#include "client/cli/terminal_view.h"

#include <string>
#include <vector>

#include "base/strings.h"
#include "client/cli/display_text.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace dragoman::client {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// As much of a terminal as the view uses: CR, LF, cursor up, clear to the end, dim, plain. Fails on
// anything else. Dim text is shown in braces.
class Screen {
 public:
  void Write(const std::string& bytes) {
    for (size_t i = 0; i < bytes.size();) {
      const std::string_view rest = std::string_view(bytes).substr(i);
      if (rest[0] == '\r') {
        at_start_ = true;
        i += 1;
      } else if (rest[0] == '\n') {
        at_start_ = true;
        ++row_;
        if (row_ == rows_.size()) rows_.emplace_back();
        i += 1;
      } else if (rest.rfind("\x1b[1A", 0) == 0) {
        ASSERT_GT(row_, 0u);
        ASSERT_TRUE(at_start_);
        --row_;
        i += 4;
      } else if (rest.rfind("\x1b[J", 0) == 0) {
        ASSERT_TRUE(at_start_);
        rows_.resize(row_ + 1);
        rows_[row_].clear();
        i += 3;
      } else if (rest.rfind("\x1b[2m", 0) == 0) {
        rows_[row_] += "{";
        i += 4;
      } else if (rest.rfind("\x1b[0m", 0) == 0) {
        rows_[row_] += "}";
        i += 4;
      } else {
        ASSERT_NE(rest[0], '\x1b') << "unknown escape code";
        const size_t length = Utf8SequenceLength(rest);
        ASSERT_GT(length, 0u);
        ASSERT_TRUE(!at_start_ || rows_[row_].empty()) << "draws over old text";
        rows_[row_].append(rest.substr(0, length));
        at_start_ = false;
        i += length;
      }
    }
  }
  const std::vector<std::string>& rows() const { return rows_; }
  // Columns of the widest row, without the braces.
  size_t WidestRow() const {
    size_t widest = 0;
    for (std::string row : rows_) {
      std::erase_if(row, [](char c) { return c == '{' || c == '}'; });
      widest = std::max(widest, DisplayWidth(row));
    }
    return widest;
  }

 private:
  std::vector<std::string> rows_ = {""};
  size_t row_ = 0;
  bool at_start_ = true;
};

v1::StreamEvent Delta(const std::string& stable, const std::string& unstable = "") {
  v1::StreamEvent event;
  event.mutable_delta()->set_stable(stable);
  event.mutable_delta()->set_unstable(unstable);
  return event;
}

v1::StreamEvent Final(const std::string& text, uint32_t begin, uint32_t end) {
  v1::StreamEvent event;
  event.mutable_segment_final()->set_text(text);
  event.mutable_segment_final()->mutable_source_begin()->set_bytes(begin);
  event.mutable_segment_final()->mutable_source_end()->set_bytes(end);
  return event;
}

TEST(TerminalViewTest, ShowsTheSourceAboveAndTheTargetGrowingInPlace) {
  TerminalView view("en", "de", true);
  Screen screen;

  screen.Write(view.OnSource("The cats ", {}));
  EXPECT_THAT(screen.rows(), ElementsAre("en  The cats", "de  {  [lag 2]}"));
  screen.Write(view.OnSource("sleep. ", {}));
  screen.Write(view.OnEvent(Delta("Die"), {}));
  EXPECT_THAT(screen.rows(), ElementsAre("en  The cats sleep.", "de  Die{  [lag 2]}"));
  screen.Write(view.OnEvent(Delta(" Katzen", " schlafen"), {}));
  EXPECT_THAT(screen.rows(),
              ElementsAre("en  The cats sleep.", "de  Die Katzen{ schlafen  [lag 1]}"));
}

TEST(TerminalViewTest, AFinalStaysAndTheNextSegmentStartsBelow) {
  TerminalView view("en", "de", true);
  Screen screen;
  screen.Write(view.OnSource("The cats sleep. The dogs ", {}));
  screen.Write(view.OnEvent(Delta("Die Katzen schlafen."), {}));

  screen.Write(view.OnEvent(Final("Die Katzen schlafen.", 0, 16), {}));
  EXPECT_THAT(screen.rows(), ElementsAre("en  The cats sleep.", "de  Die Katzen schlafen.",
                                         "en  The dogs", "de  {  [lag 2]}"));

  screen.Write(view.OnEvent(Delta("Die Hunde"), {}));
  screen.Write(view.OnEvent(Final("Die Hunde", 16, 25), {}));
  screen.Write(view.OnEnd());
  EXPECT_THAT(screen.rows(), ElementsAre("en  The cats sleep.", "de  Die Katzen schlafen.",
                                         "en  The dogs", "de  Die Hunde", ""));
}

TEST(TerminalViewTest, LeavesAnUnfinishedSegmentOnTheScreen) {
  TerminalView view("en", "de", true);
  Screen screen;
  screen.Write(view.OnSource("The ", {}));
  screen.Write(view.OnEvent(Delta("Die"), {}));

  screen.Write(view.OnEnd());

  EXPECT_THAT(screen.rows(), ElementsAre("en  The", "de  Die{  [lag 0]}", ""));
}

TEST(TerminalViewTest, LongTextNeverWrapsTheLiveRows) {
  for (const size_t columns : {20u, 33u, 80u}) {
    TerminalView view("en", "de", true);
    view.set_columns(columns);
    Screen screen;
    for (int i = 0; i < 30; ++i) {
      screen.Write(view.OnSource("\u4f60\u597d w\u00f6rter ", {}));
      screen.Write(view.OnEvent(Delta(" Stra\u00dfe", " vielleicht noch mehr"), {}));
      ASSERT_LT(screen.WidestRow(), columns);
      ASSERT_EQ(screen.rows().size(), 2u);
    }
  }
}

TEST(TerminalViewTest, DrawsOnlyTheTargetWhenTheSourceIsTypedHere) {
  TerminalView view("en", "de", false);
  Screen screen;

  screen.Write(view.OnSource("The cats\n", {}));
  screen.Write(view.OnEvent(Delta("Die"), {}));
  EXPECT_THAT(screen.rows(), ElementsAre("de  Die{  [lag 1]}"));
  screen.Write(view.OnEvent(Final("Die Katzen", 0, 9), {}));
  EXPECT_THAT(screen.rows(), ElementsAre("de  Die Katzen", ""));
}

TEST(TerminalViewTest, TextFromOutsideCannotSteerTheTerminal) {
  TerminalView view("en", "de", true);

  std::string out = view.OnSource("evil \x1b[2J\x1b]0;title\x07 text", {});
  out += view.OnEvent(Delta("b\u00f6se \x1b[31m", "\x1b[9A"), {});
  out += view.OnEvent(Final("b\u00f6se \x1b[31m", 0, 10), {});

  EXPECT_THAT(out, ::testing::Not(HasSubstr("\x1b[31m")));
  EXPECT_THAT(out, ::testing::Not(HasSubstr("\x1b[2J")));
  EXPECT_THAT(out, ::testing::Not(HasSubstr("\x1b]0")));
  EXPECT_THAT(out, ::testing::Not(HasSubstr("\x1b[9A")));
  EXPECT_THAT(out, HasSubstr("b\u00f6se [31m"));
}

}  // namespace
}  // namespace dragoman::client
