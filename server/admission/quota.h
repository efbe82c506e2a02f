// How much one client may have: streams at once, starts a second, source words a minute. Beside
// Admission, which shares out what the replica has.
//
// Thread-safe; calls nobody back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/mutex.h"

namespace dragoman::server {

// 0: no limit.
struct QuotaLimits {
  uint32_t streams = 0;
  uint32_t starts_per_second = 0;
  uint32_t words_per_minute = 0;
};

enum class QuotaKind { kStreams, kRate, kSource };

struct QuotaRefusal {
  QuotaKind kind = QuotaKind::kStreams;
  uint32_t limit = 0;
  std::chrono::seconds window{};  // that the limit is about; 0: at once
  Duration retry_after{};
};

class ClientQuotas {
 public:
  // `clock` must outlive it.
  explicit ClientQuotas(Clock* clock) : clock_(clock) {}

  // Takes the place of one stream, or says why not. End() gives it back.
  std::optional<QuotaRefusal> Start(const std::string& client, const QuotaLimits& limits);
  void End(const std::string& client);
  // Counts source words of a running stream. A refusal means that the client has had its share; the
  // words are counted all the same.
  std::optional<QuotaRefusal> Charge(const std::string& client, const QuotaLimits& limits,
                                     uint32_t words);
  // Clients that are remembered: those with streams, and those whose buckets are not full again.
  size_t remembered() const;

 private:
  // A bucket that fills by `rate` a second up to `size`.
  struct Bucket {
    double level = 0;
    TimePoint time{};
    bool used = false;
    void Fill(TimePoint now, double size, double rate);
  };
  struct Account {
    uint32_t streams = 0;
    Bucket starts;
    Bucket words;
    TimePoint last{};
  };

  void Forget(TimePoint now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  Clock* const clock_;
  mutable Mutex mu_;
  std::map<std::string, Account> accounts_ ABSL_GUARDED_BY(mu_);
  size_t forget_at_ ABSL_GUARDED_BY(mu_) = 1024;
};

}  // namespace dragoman::server
