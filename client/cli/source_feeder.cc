#include "client/cli/source_feeder.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string_view>
#include <utility>

namespace dragoman::client {
namespace {

constexpr size_t kReadBytes = 4096;
// Paced source is read ahead only so far: a file of any size needs this much memory.
constexpr size_t kReadAheadBytes = 16384;

}  // namespace

SourceFeeder::SourceFeeder(int fd, const SourceFeederOptions& options, ResumingStream* stream,
                           SessionDisplay* display, Clock* clock)
    : fd_(fd), options_(options), stream_(stream), display_(display), clock_(clock) {
  if (options_.rate) pacer_.emplace(*options_.rate);
}

SourceFeeder::~SourceFeeder() {
  Stop();
  if (thread_.joinable()) thread_.join();
}

void SourceFeeder::Start(std::chrono::milliseconds heartbeat_period) {
  thread_ = std::thread([this, heartbeat_period] { Run(heartbeat_period); });
}

void SourceFeeder::Run(std::chrono::milliseconds heartbeat_period) {
  bool more = true;
  TimePoint heartbeat_due = clock_->Now() + heartbeat_period;
  while (more || !unpaced_.empty() || (pacer_ && !pacer_->done())) {
    // A word longer than the read-ahead still has to come to its end.
    const bool room = !pacer_ || pacer_->waiting_bytes() < kReadAheadBytes || !pacer_->NextDue();
    // A negative descriptor is skipped by poll().
    pollfd fds[2] = {{more && room ? fd_ : -1, POLLIN, 0}, {stop_.fd(), POLLIN, 0}};
    const int ready = poll(fds, 2, PollTimeoutMs(heartbeat_due));
    if (ready < 0 && errno != EINTR) break;
    if (ready > 0 && fds[1].revents != 0) break;
    if (ready > 0 && fds[0].revents != 0) {
      more = ReadMore();
      heartbeat_due = clock_->Now() + heartbeat_period;
    }
    if (!SendDueWords()) return;
    if (clock_->Now() >= heartbeat_due) {
      if (!stream_->Heartbeat().ok()) return;
      heartbeat_due = clock_->Now() + heartbeat_period;
    }
  }
  display_->ShowSourceEnd();
  stream_->HalfClose();
}

int SourceFeeder::PollTimeoutMs(TimePoint heartbeat_due) {
  TimePoint due = heartbeat_due;
  if (pacer_) due = std::min(due, pacer_->NextDue().value_or(due));
  const auto wait =
      std::chrono::ceil<std::chrono::milliseconds>(std::max(due, clock_->Now()) - clock_->Now());
  return static_cast<int>(std::clamp<int64_t>(wait.count(), 0, 60000));
}

bool SourceFeeder::ReadMore() {
  std::array<char, kReadBytes> buffer;
  const ssize_t size = read(fd_, buffer.data(), buffer.size());
  if (size < 0 && (errno == EINTR || errno == EAGAIN)) return true;
  const bool end = size <= 0;  // a terminal that is gone gives EIO
  std::string text =
      end ? hold_back_.Finish() : hold_back_.Push({buffer.data(), static_cast<size_t>(size)});
  if (pacer_) {
    pacer_->Push(text);
    if (end) pacer_->Finish();
  } else {
    unpaced_ += text;
  }
  return !end;
}

bool SourceFeeder::SendDueWords() {
  if (!pacer_) return Send(std::exchange(unpaced_, {}));
  while (const std::optional<std::string> word = pacer_->Take(clock_->Now())) {
    if (!Send(*word)) return false;
  }
  return true;
}

bool SourceFeeder::Send(const std::string& text) {
  std::string_view rest = text;
  while (!rest.empty()) {
    const size_t line_end = options_.line_segments ? rest.find('\n') : std::string_view::npos;
    const std::string_view piece =
        line_end == std::string_view::npos ? rest : rest.substr(0, line_end + 1);
    rest.remove_prefix(piece.size());
    // Shown first, so that no answer to a word can be shown before the word.
    display_->ShowSource(piece);
    if (!stream_->SendText(piece).ok()) return false;
    if (piece.find_first_not_of(" \t\r\n") != std::string_view::npos) line_has_text_ = true;
    if (line_end != std::string_view::npos && std::exchange(line_has_text_, false)) {
      if (!stream_->EndSegment(++last_segment_id_).ok()) return false;
    }
  }
  return true;
}

}  // namespace dragoman::client
