#include "client/cli/word_pacer.h"

#include <algorithm>
#include <chrono>

namespace dragoman::client {
namespace {

constexpr std::string_view kWhite = " \t\r\n";

}  // namespace

WordPacer::WordPacer(double words_per_second)
    : period_(std::chrono::duration_cast<Duration>(
          std::chrono::duration<double>(1.0 / words_per_second))) {}

size_t WordPacer::CompleteWord() const {
  const size_t begin = text_.find_first_not_of(kWhite);
  if (begin == std::string::npos) return finished_ ? text_.size() : 0;
  const size_t end = text_.find_first_of(kWhite, begin);
  if (end == std::string::npos) return finished_ ? text_.size() : 0;
  const size_t next = text_.find_first_not_of(kWhite, end);
  return next == std::string::npos ? text_.size() : next;
}

std::optional<std::string> WordPacer::Take(TimePoint now) {
  const size_t size = CompleteWord();
  if (size == 0 || now < due_) return std::nullopt;
  std::string word = text_.substr(0, size);
  text_.erase(0, size);
  // From the due time, not from now: late wake-ups do not add up. After a pause, from now.
  due_ = (due_ == TimePoint::min() || now - due_ >= period_ ? now : due_) + period_;
  return word;
}

std::optional<TimePoint> WordPacer::NextDue() const {
  if (CompleteWord() == 0) return std::nullopt;
  return due_;
}

}  // namespace dragoman::client
