#include "client/cli/terminal_view.h"

#include <algorithm>
#include <utility>

#include "base/status.h"
#include "base/strings.h"
#include "client/cli/display_text.h"

namespace dragoman::client {
namespace {

constexpr char kClearBelow[] = "\x1b[J";
constexpr char kUp[] = "\x1b[1A";
constexpr char kDim[] = "\x1b[2m";
constexpr char kPlain[] = "\x1b[0m";
constexpr size_t kLeastColumns = 20;

}  // namespace

TerminalView::TerminalView(std::string source_language, std::string target_language,
                           bool show_source)
    : source_label_(OneLine(source_language) + "  "),
      target_label_(OneLine(target_language) + "  "),
      show_source_(show_source) {}

uint32_t TerminalView::LagWords() const {
  const size_t read = SplitOnWhitespace(source_.text()).size();
  const size_t written = SplitOnWhitespace(stable_).size();
  return static_cast<uint32_t>(read - std::min(read, written));
}

std::string TerminalView::Erase() {
  std::string out;
  if (drawn_rows_ > 0) out += "\r";
  for (int row = 1; row < drawn_rows_; ++row) out += kUp;
  if (drawn_rows_ > 0) out += kClearBelow;
  drawn_rows_ = 0;
  return out;
}

std::string TerminalView::Draw() {
  std::string out = Erase();
  const std::string source = OneLine(source_.text());
  if (source.empty() && stable_.empty() && unstable_.empty()) return out;
  // Each row is kept inside the screen, one column free: a row that wraps could not be redrawn.
  const size_t columns = std::max(columns_, kLeastColumns) - 1;
  if (show_source_) {
    const size_t room = columns - std::min(columns, DisplayWidth(source_label_));
    out += source_label_ + FitEnd(source, room) + "\n";
    ++drawn_rows_;
  }
  const std::string lag = absl::StrCat("  [lag ", LagWords(), "]");
  const size_t taken = DisplayWidth(target_label_) + DisplayWidth(lag);
  const size_t room = columns - std::min(columns, taken);
  // The tail starts with its own blank, so both are fitted as one text and coloured apart.
  const std::string stable = OneLine(stable_);
  const bool blank = !unstable_.empty() && unstable_.front() == ' ' && !stable.empty();
  const std::string tail = (blank ? " " : "") + OneLine(unstable_);
  const std::string fitted_tail = FitEnd(tail, room);
  const std::string fitted_stable = FitEnd(stable, room - DisplayWidth(fitted_tail));
  out += target_label_ + fitted_stable + kDim + fitted_tail + lag + kPlain;
  ++drawn_rows_;
  return out;
}

std::string TerminalView::OnSource(std::string_view text, Duration /*elapsed*/) {
  source_.Append(text);
  return Draw();
}

std::string TerminalView::OnEvent(const v1::StreamEvent& event, Duration /*elapsed*/) {
  if (event.has_delta()) {
    stable_ += event.delta().stable();
    unstable_ = event.delta().unstable();
    return Draw();
  }
  if (event.has_started() && event.started().resumed()) {
    stable_.clear();
    unstable_.clear();
    return Draw();
  }
  if (!event.has_segment_final()) return "";
  const v1::SegmentFinal& final = event.segment_final();
  std::string out = Erase();
  if (show_source_) {
    const std::string source =
        source_.Slice(final.source_begin().bytes(), final.source_end().bytes());
    out += source_label_ + OneLine(source) + "\n";
  }
  out += target_label_ + OneLine(final.text()) + "\n";
  source_.Forget(final.source_end().bytes());
  stable_.clear();
  unstable_.clear();
  return out + Draw();
}

std::string TerminalView::OnEnd() { return std::exchange(drawn_rows_, 0) > 0 ? "\n" : ""; }

}  // namespace dragoman::client
