// std::mutex and std::condition_variable with thread-safety annotations. absl::Mutex is not used:
// Debian's build carries no TSan marks and reports false races.
#pragma once

#include <condition_variable>
#include <mutex>

#include "absl/base/thread_annotations.h"

namespace dragoman {

class ABSL_LOCKABLE Mutex {
 public:
  void Lock() ABSL_EXCLUSIVE_LOCK_FUNCTION() { mutex_.lock(); }
  void Unlock() ABSL_UNLOCK_FUNCTION() { mutex_.unlock(); }
  // BasicLockable, so that CondVar can release it.
  void lock() ABSL_EXCLUSIVE_LOCK_FUNCTION() { mutex_.lock(); }
  void unlock() ABSL_UNLOCK_FUNCTION() { mutex_.unlock(); }

 private:
  std::mutex mutex_;
};

class ABSL_SCOPED_LOCKABLE MutexLock {
 public:
  explicit MutexLock(Mutex* mutex) ABSL_EXCLUSIVE_LOCK_FUNCTION(mutex) : mutex_(mutex) {
    mutex_->Lock();
  }
  ~MutexLock() ABSL_UNLOCK_FUNCTION() { mutex_->Unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex* const mutex_;
};

// Waits on a Mutex that the caller holds.
using CondVar = std::condition_variable_any;

// Debian builds Abseil with debug checks: each absl::Mutex of a process (gRPC has thousands) is
// kept in one graph of lock orders behind one spin lock, and an order that was seen both ways
// aborts the process. This ends the book-keeping. To be called before gRPC is used.
void StopAbslLockOrderChecks();

}  // namespace dragoman
