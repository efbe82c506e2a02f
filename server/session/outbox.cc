#include "server/session/outbox.h"

#include <utility>

namespace dragoman::server {
namespace {

size_t TextBytes(const EventBody& body) {
  if (const auto* delta = std::get_if<DeltaEvent>(&body)) {
    return delta->stable.size() + delta->unstable.size() + delta->words.size() * sizeof(WordStamp);
  }
  if (const auto* final_event = std::get_if<FinalEvent>(&body)) {
    return final_event->text.size() + final_event->words.size() * sizeof(WordStamp);
  }
  return 0;
}

}  // namespace

bool Outbox::Push(EventBody body, TimePoint now) {
  auto* delta = std::get_if<DeltaEvent>(&body);
  auto* last = events_.empty() ? nullptr : std::get_if<DeltaEvent>(&events_.back().body);
  if (delta != nullptr && last != nullptr && delta->segment == last->segment) {
    bytes_ -= last->unstable.size();
    bytes_ += TextBytes(body);
    last->stable += delta->stable;
    last->unstable = std::move(delta->unstable);
    last->read = delta->read;
    last->words.insert(last->words.end(), delta->words.begin(), delta->words.end());
    return true;
  }
  bytes_ += TextBytes(body);
  events_.push_back({std::move(body), now});
  return false;
}

TimePoint Outbox::held_until() const {
  if (events_.size() != 1 || !std::holds_alternative<DeltaEvent>(events_.front().body) ||
      !last_delta_.has_value()) {
    return TimePoint::max();
  }
  return *last_delta_ + min_interval_;
}

std::optional<Outbox::Taken> Outbox::Take(TimePoint now, bool hurry) {
  if (events_.empty()) return std::nullopt;
  const TimePoint held = held_until();
  if (!hurry && held != TimePoint::max() && now < held) return std::nullopt;
  Taken taken = std::move(events_.front());
  events_.pop_front();
  bytes_ -= TextBytes(taken.body);
  if (std::holds_alternative<DeltaEvent>(taken.body)) last_delta_ = now;
  return taken;
}

void Outbox::Clear() {
  events_.clear();
  bytes_ = 0;
}

}  // namespace dragoman::server
