// A flag that a poll() can wait for (Linux eventfd).
#pragma once

namespace dragoman::client {

// Thread-safe.
class WakeEvent {
 public:
  WakeEvent();
  ~WakeEvent();
  WakeEvent(const WakeEvent&) = delete;
  WakeEvent& operator=(const WakeEvent&) = delete;

  // Makes fd() readable for ever.
  void Set();
  int fd() const { return fd_; }

 private:
  const int fd_;
};

}  // namespace dragoman::client
