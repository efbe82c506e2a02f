// READ/WRITE rules of simultaneous translation on the unit clock: never chunk borders, never time.
// Policies are pure: same arguments, same answer. Thread-safe by being immutable.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"

namespace dragoman::model {

enum class Decision { kRead, kWrite };

// What a policy may look at. Units are source words plus the end-of-source marker (unit W+1).
struct PolicyView {
  int64_t next_word = 1;      // j, 1-based: target word to write
  int64_t visible_units = 0;  // c
  bool ended = false;         // c == W+1: the marker is visible
};

class Policy {
 public:
  virtual ~Policy() = default;
  // May word `next_word` be written now? Asked only at a word border.
  virtual Decision Decide(const PolicyView& view) const = 0;
  // "wait-k:3", "sentence": ParsePolicy(name()) gives an equal policy.
  virtual std::string name() const = 0;
};

// Wait-k (Ma et al. 2019): word j is written once min(k + j - 1, W) source words are visible, in
// terms of our unit clock c >= k + j - 1 or ended.
class WaitKPolicy final : public Policy {
 public:
  explicit WaitKPolicy(int64_t k) : k_(k) {}
  Decision Decide(const PolicyView& view) const override;
  std::string name() const override;
  int64_t k() const { return k_; }

 private:
  const int64_t k_;
};

// Writes when the whole segment has been read: the offline reference for quality.
class SentencePolicy final : public Policy {
 public:
  Decision Decide(const PolicyView& view) const override;
  std::string name() const override;
};

// "wait-k:K" with K in 1..64, or "sentence". Errors: InvalidArgument that lists what is known.
absl::StatusOr<std::unique_ptr<const Policy>> ParsePolicy(std::string_view text);

}  // namespace dragoman::model
