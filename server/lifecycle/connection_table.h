// The open connections of the listener by the address of their peer. A connection belongs to gRPC
// once it is handed over and nobody says when gRPC closes it; so an entry keeps the descriptor with
// the kernel's cookie of its socket and is dropped when the descriptor no longer is that socket.
//
// Thread-safe.
#pragma once

#include <sys/socket.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>

#include "base/clock.h"
#include "base/mutex.h"

namespace dragoman::server {

// The key of the limits per address: an IPv4 address, or the /64 of an IPv6 address, which is what
// one subscriber gets. "unknown" for other families.
std::string PeerKey(const sockaddr_storage& address);

class ConnectionTable {
 public:
  enum class Answer { kAdmitted, kPeerFull, kFull };

  // `clock` must outlive the table. A limit of 0 is none.
  ConnectionTable(size_t max_connections, size_t per_peer, Clock* clock)
      : max_connections_(max_connections), per_peer_(per_peer), clock_(clock) {}

  // Counts the connected socket `fd` when the limits allow it.
  Answer Admit(int fd, const std::string& peer);
  // Open connections now.
  size_t Count();

 private:
  struct Entry {
    uint64_t cookie = 0;
    std::string peer;
  };
  void Drop(int fd) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void DropClosed(const std::set<int>& fds) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void DropAllClosed() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const size_t max_connections_;
  const size_t per_peer_;
  Clock* const clock_;
  Mutex mu_;
  std::map<int, Entry> entries_ ABSL_GUARDED_BY(mu_);  // by descriptor
  std::map<std::string, std::set<int>> peers_ ABSL_GUARDED_BY(mu_);
  TimePoint next_sweep_ ABSL_GUARDED_BY(mu_){};
};

}  // namespace dragoman::server
