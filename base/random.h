// Counter-based random numbers: every draw is a hash of (seed, purpose, epoch, id, index), never of
// the worker or batch that makes it, so data order and schedules repeat for any number of threads.
#pragma once

#include <cstdint>
#include <string_view>

namespace dragoman {

// SplitMix64 finaliser (Steele et al. 2014).
constexpr uint64_t MixBits(uint64_t x) {
  x += 0x9E3779B97F4A7C15ull;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBull;
  return x ^ (x >> 31);
}

// One independent sequence of draws for one (seed, purpose, epoch, id). Cheap to make. Not
// thread-safe; make one where it is needed.
class RandomStream {
 public:
  RandomStream(uint64_t seed, std::string_view purpose, uint64_t epoch = 0, uint64_t id = 0)
      : state_(MixBits(seed)) {
    for (const char c : purpose) state_ = MixBits(state_ ^ static_cast<unsigned char>(c));
    state_ = MixBits(state_ ^ MixBits(epoch));
    state_ = MixBits(state_ ^ MixBits(id + 0x51ED270B9Full));
  }

  uint64_t NextBits() { return MixBits(state_ ^ MixBits(counter_++)); }
  // Uniform in [0, 1).
  double NextUnit() { return static_cast<double>(NextBits() >> 11) * 0x1.0p-53; }
  // Uniform in [0, bound), bound >= 1. The bias is below 2^-32 for bounds under 2^32.
  uint64_t NextBelow(uint64_t bound) {
    return static_cast<uint64_t>((static_cast<Wide>(NextBits()) * bound) >> 64);
  }

 private:
  __extension__ typedef unsigned __int128 Wide;

  uint64_t state_;
  uint64_t counter_ = 0;
};

}  // namespace dragoman
