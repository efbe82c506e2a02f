#include "model/native/thread_team.h"

#include <algorithm>

#include "base/thread_name.h"

namespace dragoman::model {
namespace {

// About 50 microseconds: longer than what lies between two loops of a step.
constexpr int kSpins = 2000;

inline void Pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace

ThreadTeam::ThreadTeam(int threads) {
  for (int i = 1; i < threads; ++i) {
    workers_.emplace_back([this, i] {
      NameThisThread("compute");
      Work(i);
    });
  }
}

ThreadTeam::~ThreadTeam() {
  {
    const MutexLock lock(&mu_);
    stop_.store(true);
  }
  wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

bool ThreadTeam::TakePiece(int worker) {
  int64_t left = left_.load(), taken = 0;
  do {
    if (left == 0) return false;
    taken = std::min(left, std::max(grain_.load(std::memory_order_relaxed),
                                    left / (2 * static_cast<int64_t>(threads()))));
  } while (!left_.compare_exchange_weak(left, left - taken));
  // The loop cannot end before this piece is done, so its fields are stable.
  const int64_t begin = count_ - left;
  (*body_)(worker, begin, begin + taken);
  done_.fetch_add(taken);
  return true;
}

void ThreadTeam::Work(int worker) {
  for (;;) {
    int spins = 0;
    while (!TakePiece(worker)) {
      if (++spins < kSpins) {
        Pause();
        continue;
      }
      parked_.fetch_add(1);
      {
        MutexLock lock(&mu_);
        wake_.wait(mu_, [this] { return stop_.load() || left_.load() > 0; });
      }
      parked_.fetch_sub(1);
      if (stop_.load()) return;
      spins = 0;
    }
  }
}

void ThreadTeam::ParallelFor(int64_t count, int64_t grain, Body body) {
  if (count <= 0) return;
  if (!use_workers_ || workers_.empty() || count <= grain) {
    body(0, 0, count);
    return;
  }
  body_ = &body;
  count_ = count;
  grain_.store(grain, std::memory_order_relaxed);
  done_.store(0);
  left_.store(count);
  if (parked_.load() > 0) {
    // A worker between its last look and its wait holds the lock.
    { const MutexLock lock(&mu_); }
    wake_.notify_all();
  }
  while (TakePiece(0)) {
  }
  for (int spins = 0; done_.load() != count; ++spins) {
    if (spins < kSpins) {
      Pause();
    } else {
      std::this_thread::yield();
    }
  }
}

}  // namespace dragoman::model
