// Threads that share the loops of one step. They spin for a short while between two loops and then
// park. Whoever is free takes the next piece of a loop, the caller included: large pieces at first,
// which are streamed well, small ones at the end, so that all end together (guided self-scheduling,
// Polychronopoulos and Kuck 1987). A thread that the system does not run holds nobody up, unless it
// lost its core inside a piece.
//
// One caller at a time. The body must not throw.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "absl/functional/function_ref.h"
#include "base/mutex.h"

namespace dragoman::model {

class ThreadTeam {
 public:
  // `threads` >= 1 counts the caller.
  explicit ThreadTeam(int threads);
  ~ThreadTeam();
  ThreadTeam(const ThreadTeam&) = delete;
  ThreadTeam& operator=(const ThreadTeam&) = delete;

  // Whether workers take part in the loops that follow, or the caller does all. At first they do.
  void UseWorkers(bool use) { use_workers_ = use; }

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  // Calls body(worker, begin, end) for pieces of at least `grain` until [0, count) is done;
  // `worker` is 0..threads()-1 and never at work twice. Returns when all pieces are done. With one
  // piece or one thread the caller does it all. No allocation.
  using Body = absl::FunctionRef<void(int worker, int64_t begin, int64_t end)>;
  void ParallelFor(int64_t count, int64_t grain, Body body);

 private:
  void Work(int worker);
  // Takes one piece of the loop that is open, if there is one, and does it.
  bool TakePiece(int worker);

  bool use_workers_ = true;

  // The open loop. Read only by who has taken a piece of it, so it cannot change meanwhile; except
  // the grain, whose old value only makes a piece smaller or larger.
  const Body* body_ = nullptr;
  int64_t count_ = 0;
  std::atomic<int64_t> grain_{1};

  std::atomic<int64_t> left_{0};  // not taken yet
  std::atomic<int64_t> done_{0};
  std::atomic<bool> stop_{false};
  std::atomic<int> parked_{0};
  Mutex mu_;
  CondVar wake_;
  std::vector<std::thread> workers_;
};

}  // namespace dragoman::model
