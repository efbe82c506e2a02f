#include "server/admission/quota.h"

#include <algorithm>

namespace dragoman::server {
namespace {

using std::chrono::seconds;

// Every bucket is full again after this long.
constexpr Duration kMemory = std::chrono::minutes(2);
// A stream may end at any moment.
constexpr Duration kStreamRetry = seconds(1);

Duration SecondsUntil(double missing, double rate) {
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(missing / rate));
}

}  // namespace

void ClientQuotas::Bucket::Fill(TimePoint now, double size, double rate) {
  if (!used) {
    used = true;
    level = size;
  } else {
    level = std::min(size, level + rate * std::chrono::duration<double>(now - time).count());
  }
  time = now;
}

std::optional<QuotaRefusal> ClientQuotas::Start(const std::string& client,
                                                const QuotaLimits& limits) {
  const MutexLock lock(&mu_);
  const TimePoint now = clock_->Now();
  if (accounts_.size() >= forget_at_) Forget(now);
  Account& account = accounts_[client];
  account.last = now;
  if (limits.starts_per_second > 0) {
    const double rate = limits.starts_per_second;
    account.starts.Fill(now, rate, rate);
    if (account.starts.level < 1) {
      return QuotaRefusal{QuotaKind::kRate, limits.starts_per_second, seconds(1),
                          SecondsUntil(1 - account.starts.level, rate)};
    }
  }
  if (limits.streams > 0 && account.streams >= limits.streams) {
    return QuotaRefusal{QuotaKind::kStreams, limits.streams, seconds(0), kStreamRetry};
  }
  if (limits.words_per_minute > 0) {
    const double size = limits.words_per_minute;
    account.words.Fill(now, size, size / 60);
    if (account.words.level <= 0) {
      return QuotaRefusal{QuotaKind::kSource, limits.words_per_minute, seconds(60),
                          SecondsUntil(1 - account.words.level, size / 60)};
    }
  }
  if (limits.starts_per_second > 0) account.starts.level -= 1;
  ++account.streams;
  return std::nullopt;
}

void ClientQuotas::End(const std::string& client) {
  const MutexLock lock(&mu_);
  const auto found = accounts_.find(client);
  if (found == accounts_.end() || found->second.streams == 0) return;
  --found->second.streams;
  found->second.last = clock_->Now();
}

std::optional<QuotaRefusal> ClientQuotas::Charge(const std::string& client,
                                                 const QuotaLimits& limits, uint32_t words) {
  if (limits.words_per_minute == 0) return std::nullopt;
  const MutexLock lock(&mu_);
  Account& account = accounts_[client];
  const double size = limits.words_per_minute;
  account.words.Fill(clock_->Now(), size, size / 60);
  account.words.level -= words;
  if (account.words.level >= 0) return std::nullopt;
  return QuotaRefusal{QuotaKind::kSource, limits.words_per_minute, seconds(60),
                      SecondsUntil(1 - account.words.level, size / 60)};
}

void ClientQuotas::Forget(TimePoint now) {
  std::erase_if(accounts_, [now](const auto& entry) {
    return entry.second.streams == 0 && now - entry.second.last > kMemory;
  });
  // A flood of new names is looked through once per doubling.
  forget_at_ = std::max<size_t>(1024, 2 * accounts_.size());
}

size_t ClientQuotas::remembered() const {
  const MutexLock lock(&mu_);
  return accounts_.size();
}

}  // namespace dragoman::server
