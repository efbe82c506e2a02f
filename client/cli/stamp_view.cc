#include "client/cli/stamp_view.h"

#include <algorithm>
#include <chrono>

#include "base/status.h"
#include "base/strings.h"
#include "client/cli/display_text.h"

namespace dragoman::client {
namespace {

bool IsWhite(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

}  // namespace

StampView::StampView(std::string source_language, std::string target_language)
    : source_language_(OneLine(source_language)), target_language_(OneLine(target_language)) {}

std::string StampView::Row(Duration elapsed, std::string_view event, uint32_t read,
                           std::optional<uint32_t> lag, std::string_view word) {
  std::string out;
  if (!header_done_) {
    header_done_ = true;
    out = "    time  event   read  written  lag  word\n";
  }
  const double seconds = std::chrono::duration<double>(elapsed - zero_.value_or(elapsed)).count();
  const std::string lag_text = lag ? absl::StrCat(*lag) : "";
  absl::StrAppendFormat(&out, "%7.2fs  %-5s  %5d  %7d  %3s  %s\n", seconds, std::string(event),
                        read, words_written_, lag_text, OneLine(word));
  return out;
}

std::string StampView::OnSource(std::string_view text, Duration elapsed) {
  if (!zero_) zero_ = elapsed;
  source_.Append(text);
  std::string out;
  for (const char c : text) {
    if (!IsWhite(c)) {
      open_word_.push_back(c);
    } else if (!open_word_.empty()) {
      out += Row(elapsed, "READ", ++words_read_, std::nullopt, open_word_);
      open_word_.clear();
    }
  }
  return out;
}

std::string StampView::OnSourceEnd(Duration elapsed) {
  if (open_word_.empty()) return "";
  const std::string row = Row(elapsed, "READ", ++words_read_, std::nullopt, open_word_);
  open_word_.clear();
  return row;
}

std::string StampView::Writes(const v1::TextDelta& delta, Duration elapsed) {
  segment_text_ += delta.stable();
  std::string out;
  for (const v1::WordStamp& stamp : delta.words()) {
    const uint32_t read = stamp.read_words() - std::min(stamp.read_words(), segment_begin_words_);
    const uint32_t lag = read - std::min(read, segment_words_written_);
    ++words_written_;
    ++segment_words_written_;
    const size_t begin = std::min<size_t>(stamp.begin(), segment_text_.size());
    const size_t end = std::clamp<size_t>(stamp.end(), begin, segment_text_.size());
    out += Row(elapsed, "WRITE", stamp.read_words(), lag,
               std::string_view(segment_text_).substr(begin, end - begin));
  }
  return out;
}

std::string StampView::Final(const v1::SegmentFinal& final, Duration elapsed) {
  std::string out;
  const std::string source =
      source_.Slice(final.source_begin().bytes(), final.source_end().bytes());
  const double seconds = std::chrono::duration<double>(elapsed - zero_.value_or(elapsed)).count();
  const std::string margin(33, ' ');
  absl::StrAppendFormat(&out, "%7.2fs  FINAL%s%s: %s\n", seconds, std::string(23, ' '),
                        source_language_, OneLine(source));
  absl::StrAppend(&out, margin, "     ", target_language_, ": ", OneLine(final.text()), "\n");
  source_.Forget(final.source_end().bytes());
  segment_begin_words_ = final.source_end().words();
  segment_words_written_ = 0;
  segment_text_.clear();
  return out;
}

std::string StampView::OnEvent(const v1::StreamEvent& event, Duration elapsed) {
  if (event.has_delta()) return Writes(event.delta(), elapsed);
  if (event.has_segment_final()) return Final(event.segment_final(), elapsed);
  if (event.has_started() && event.started().resumed()) {
    words_written_ -= segment_words_written_;
    segment_words_written_ = 0;
    segment_text_.clear();
  }
  return "";
}

}  // namespace dragoman::client
