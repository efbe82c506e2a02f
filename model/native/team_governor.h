// Decides step by step whether the thread team or the caller alone computes. A team whose member
// has lost its core to another process waits for it in every loop, so that two threads become
// slower than one; this notices it from the time of steps, steps back to one thread, and looks
// again after a while.
//
// Knows no threads and no clock. One caller at a time.
#pragma once

#include <array>
#include <cstdint>

namespace dragoman::model {

class TeamGovernor {
 public:
  // A step of the team that took this much longer than the caller alone would is slow.
  static constexpr double kSlow = 1.2;
  // Steps of the caller alone after a slow one; doubled while the next look is slow as well.
  static constexpr int kFirstRest = 32, kLongestRest = 512;
  // Good steps of the team after which earlier slow ones are forgotten.
  static constexpr int kForgive = 256;
  // The caller alone is measured once in so many steps of the team.
  static constexpr int kMeasureEvery = 256;

  // `threads` of the whole team, >= 1.
  explicit TeamGovernor(int threads) : threads_(threads) {}

  // Threads for the next step. `rows`: of the step; steps of very different sizes are judged apart.
  int Choose(int64_t rows);
  // What the step that Choose() was asked for took. `work`: any measure that grows as its time
  // does, > 0.
  void Record(double work, double seconds);

 private:
  struct Size {
    double alone = 0;  // seconds per work, 0: not measured
    int steps = 0;     // of the team since the caller alone was measured
    int good = 0;      // steps of the team since a slow one
    int rest = 0;      // steps of the caller alone that are left
    int next_rest = kFirstRest;
  };

  const int threads_;
  std::array<Size, 16> sizes_;  // by the logarithm of the rows
  Size* size_ = &sizes_[0];     // of the step that runs
  bool team_ = true;            // whether it runs on the team
};

}  // namespace dragoman::model
