#include "server/lifecycle/connection_table.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <cstring>
#include <vector>

namespace dragoman::server {
namespace {

// At the limit a flood must not pay for a look at every connection each time.
constexpr Duration kSweepInterval = std::chrono::milliseconds(20);

// 0 when `fd` is no socket any more.
uint64_t CookieOf(int fd) {
  uint64_t cookie = 0;
  socklen_t size = sizeof(cookie);
  return getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &size) == 0 ? cookie : 0;
}

}  // namespace

std::string PeerKey(const sockaddr_storage& address) {
  char text[INET6_ADDRSTRLEN] = {};
  if (address.ss_family == AF_INET) {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(&address);
    inet_ntop(AF_INET, &v4->sin_addr, text, sizeof(text));
    return text;
  }
  if (address.ss_family == AF_INET6) {
    in6_addr v6 = reinterpret_cast<const sockaddr_in6*>(&address)->sin6_addr;
    if (IN6_IS_ADDR_V4MAPPED(&v6)) {
      inet_ntop(AF_INET, &v6.s6_addr[12], text, sizeof(text));
      return text;
    }
    if (!IN6_IS_ADDR_LOOPBACK(&v6)) std::memset(&v6.s6_addr[8], 0, 8);
    inet_ntop(AF_INET6, &v6, text, sizeof(text));
    return text;
  }
  return "unknown";
}

void ConnectionTable::Drop(int fd) {
  const auto entry = entries_.find(fd);
  if (entry == entries_.end()) return;
  const auto peer = peers_.find(entry->second.peer);
  peer->second.erase(fd);
  if (peer->second.empty()) peers_.erase(peer);
  entries_.erase(entry);
}

void ConnectionTable::DropClosed(const std::set<int>& fds) {
  std::vector<int> closed;
  for (const int fd : fds) {
    if (CookieOf(fd) != entries_.at(fd).cookie) closed.push_back(fd);
  }
  for (const int fd : closed) Drop(fd);
}

void ConnectionTable::DropAllClosed() {
  std::vector<int> closed;
  for (const auto& [fd, entry] : entries_) {
    if (CookieOf(fd) != entry.cookie) closed.push_back(fd);
  }
  for (const int fd : closed) Drop(fd);
}

ConnectionTable::Answer ConnectionTable::Admit(int fd, const std::string& peer) {
  const MutexLock lock(&mu_);
  Drop(fd);  // the number was another connection's before
  if (max_connections_ > 0 && entries_.size() >= max_connections_) {
    const TimePoint now = clock_->Now();
    if (now >= next_sweep_) {
      next_sweep_ = now + kSweepInterval;
      DropAllClosed();
    }
    if (entries_.size() >= max_connections_) return Answer::kFull;
  }
  if (per_peer_ > 0) {
    const auto found = peers_.find(peer);
    if (found != peers_.end() && found->second.size() >= per_peer_) {
      const std::set<int> own = found->second;
      DropClosed(own);
      const auto again = peers_.find(peer);
      if (again != peers_.end() && again->second.size() >= per_peer_) return Answer::kPeerFull;
    }
  }
  entries_[fd] = {CookieOf(fd), peer};
  peers_[peer].insert(fd);
  return Answer::kAdmitted;
}

size_t ConnectionTable::Count() {
  const MutexLock lock(&mu_);
  DropAllClosed();
  return entries_.size();
}

}  // namespace dragoman::server
