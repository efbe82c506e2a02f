#include "server/lifecycle/accept_loop.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/thread_name.h"

namespace dragoman::server {
namespace {

constexpr int kBacklog = 512;
constexpr int kAcceptsPerRound = 64;
// Pause when the process has no descriptor at all, not even by giving up the spare one.
constexpr int kExhaustedPauseMs = 50;

size_t DescriptorLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1024;
  return static_cast<size_t>(limit.rlim_cur);
}

int OpenSpare() { return open("/dev/null", O_RDONLY | O_CLOEXEC); }

socklen_t LengthOf(const sockaddr_storage& address) {
  return address.ss_family == AF_INET6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
}

uint16_t PortOf(const sockaddr_storage& address) {
  return ntohs(address.ss_family == AF_INET6
                   ? reinterpret_cast<const sockaddr_in6*>(&address)->sin6_port
                   : reinterpret_cast<const sockaddr_in*>(&address)->sin_port);
}

void SetPort(sockaddr_storage* address, uint16_t port) {
  if (address->ss_family == AF_INET6) {
    reinterpret_cast<sockaddr_in6*>(address)->sin6_port = htons(port);
  } else {
    reinterpret_cast<sockaddr_in*>(address)->sin_port = htons(port);
  }
}

// A listener on every address is reached over loopback.
void WildcardToLoopback(sockaddr_storage* address) {
  if (address->ss_family == AF_INET6) {
    auto* v6 = reinterpret_cast<sockaddr_in6*>(address);
    if (IN6_IS_ADDR_UNSPECIFIED(&v6->sin6_addr)) v6->sin6_addr = in6addr_loopback;
  } else {
    auto* v4 = reinterpret_cast<sockaddr_in*>(address);
    if (v4->sin_addr.s_addr == htonl(INADDR_ANY)) v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  }
}

// A socket that listens on `address`, or -1 with errno.
int ListenOn(const sockaddr_storage& address) {
  const int fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  const int on = 1;
  const int off = 0;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (address.ss_family == AF_INET6) {
    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
  }
  if (bind(fd, reinterpret_cast<const sockaddr*>(&address), LengthOf(address)) != 0 ||
      listen(fd, kBacklog) != 0) {
    const int reason = errno;
    close(fd);
    errno = reason;
    return -1;
  }
  return fd;
}

}  // namespace

size_t RaiseDescriptorLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, 1 << 20);
    setrlimit(RLIMIT_NOFILE, &limit);
  }
  return DescriptorLimit();
}

AcceptLoop::AcceptLoop(const AcceptOptions& options, Clock* clock,
                       std::function<void(Refusal)> on_refused)
    : options_(options),
      on_refused_(std::move(on_refused)),
      table_(options.max_connections, options.connections_per_peer, clock),
      stop_(eventfd(0, EFD_CLOEXEC)),
      spare_(OpenSpare()) {}

absl::StatusOr<std::unique_ptr<AcceptLoop>> AcceptLoop::Listen(
    const AcceptOptions& options, Clock* clock, std::function<void(Refusal)> on_refused) {
  std::unique_ptr<AcceptLoop> loop(new AcceptLoop(options, clock, std::move(on_refused)));
  absl::Status status = loop->Bind();
  if (!status.ok()) return status;
  return loop;
}

absl::Status AcceptLoop::Bind() {
  const auto fail = [this](const char* reason) {
    return absl::UnavailableError(
        absl::StrCat("cannot listen on ", options_.host, ":", options_.port, ": ", reason));
  };
  if (stop_ < 0) return fail("no descriptor is left");
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(options_.host.c_str(), nullptr, &hints, &found);
  if (error != 0) return fail(gai_strerror(error));
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> addresses(found, freeaddrinfo);
  port_ = options_.port;
  int last_error = EADDRNOTAVAIL;
  for (const addrinfo* entry = found; entry != nullptr; entry = entry->ai_next) {
    if (entry->ai_family != AF_INET && entry->ai_family != AF_INET6) continue;
    sockaddr_storage address{};
    std::memcpy(&address, entry->ai_addr, entry->ai_addrlen);
    SetPort(&address, static_cast<uint16_t>(port_));
    const int fd = ListenOn(address);
    if (fd < 0) {
      // A name may stand for an address that this host lacks, such as ::1; a taken port may not.
      last_error = errno;
      if (errno == EADDRINUSE) return fail(std::strerror(errno));
      continue;
    }
    socklen_t length = sizeof(address);
    getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length);
    port_ = PortOf(address);
    WildcardToLoopback(&address);
    if (listeners_.empty()) probe_target_ = address;
    listeners_.push_back(fd);
  }
  return listeners_.empty() ? fail(std::strerror(last_error)) : absl::OkStatus();
}

AcceptLoop::~AcceptLoop() {
  Stop();
  for (const int fd : listeners_) close(fd);
  if (stop_ >= 0) close(stop_);
  if (spare_ >= 0) close(spare_);
}

void AcceptLoop::Start(Handover handover) {
  handover_ = std::move(handover);
  thread_ = std::thread([this] {
    NameThisThread("accept");
    Run();
  });
}

void AcceptLoop::Stop() {
  if (!thread_.joinable()) return;
  eventfd_write(stop_, 1);
  thread_.join();
  for (const int fd : listeners_) close(fd);
  listeners_.clear();
}

void AcceptLoop::Run() {
  std::vector<pollfd> files{{stop_, POLLIN, 0}};
  for (const int fd : listeners_) files.push_back({fd, POLLIN, 0});
  while (true) {
    if (poll(files.data(), files.size(), -1) < 0 && errno != EINTR) return;
    if (files[0].revents != 0) return;
    for (size_t i = 1; i < files.size(); ++i) {
      if (files[i].revents != 0) AcceptFrom(files[i].fd);
    }
  }
}

void AcceptLoop::AcceptFrom(int listener) {
  bool again = true;
  for (int i = 0; i < kAcceptsPerRound && again; ++i) {
    if (!AcceptOne(listener, &again)) continue;
    // Not one descriptor: refuse with the spare one, so that clients learn of it.
    on_refused_(Refusal::kDescriptors);
    if (spare_ >= 0) close(spare_);
    const int refused = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (refused >= 0) close(refused);
    spare_ = OpenSpare();
    if (refused < 0 || spare_ < 0) {
      pollfd stop{stop_, POLLIN, 0};
      poll(&stop, 1, kExhaustedPauseMs);
      return;
    }
  }
}

bool AcceptLoop::AcceptOne(int listener, bool* again) {
  sockaddr_storage peer{};
  socklen_t length = sizeof(peer);
  const int fd =
      accept4(listener, reinterpret_cast<sockaddr*>(&peer), &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd >= 0) {
    Place(listener, fd, peer);
    return false;
  }
  if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) return true;
  // EAGAIN: nobody waits. All others are the end of one connection, not of the listener.
  *again = errno != EAGAIN && errno != EWOULDBLOCK && errno != EBADF && errno != EINVAL;
  return false;
}

void AcceptLoop::Place(int listener, int fd, const sockaddr_storage& peer) {
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  if (TakeProbe(peer)) {
    handover_({listener, fd, true});
    return;
  }
  const size_t limit = DescriptorLimit();
  const size_t reserve = options_.reserved_descriptors > 0 ? options_.reserved_descriptors
                                                           : std::min<size_t>(64, limit / 4);
  std::optional<Refusal> refusal;
  if (static_cast<size_t>(fd) + reserve >= limit) {
    refusal = Refusal::kDescriptors;
  } else {
    switch (table_.Admit(fd, PeerKey(peer))) {
      case ConnectionTable::Answer::kAdmitted:
        break;
      case ConnectionTable::Answer::kPeerFull:
        refusal = Refusal::kPeer;
        break;
      case ConnectionTable::Answer::kFull:
        refusal = Refusal::kTotal;
        break;
    }
  }
  if (!refusal.has_value()) {
    handover_({listener, fd, false});
    return;
  }
  on_refused_(*refusal);
  // A reset leaves no socket waiting in the kernel.
  const linger abort{1, 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &abort, sizeof(abort));
  close(fd);
}

bool AcceptLoop::TakeProbe(const sockaddr_storage& peer) {
  const MutexLock lock(&mu_);
  // Only this process can own such a port: the probe binds it before it connects, and stays bound.
  return PeerKey(peer) == PeerKey(probe_target_) && probe_ports_.erase(PortOf(peer)) > 0;
}

absl::StatusOr<int> AcceptLoop::OpenProbe() {
  const auto fail = [](const char* what) {
    return absl::UnavailableError(absl::StrCat(what, ": ", std::strerror(errno)));
  };
  const int fd = socket(probe_target_.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return fail("socket");
  sockaddr_storage own = probe_target_;
  SetPort(&own, 0);
  socklen_t length = sizeof(own);
  // Not past the listen address: from there the connection could come by another address.
  if (bind(fd, reinterpret_cast<const sockaddr*>(&own), LengthOf(own)) != 0 ||
      getsockname(fd, reinterpret_cast<sockaddr*>(&own), &length) != 0) {
    const auto status = fail("bind");
    close(fd);
    return status;
  }
  const uint16_t port = PortOf(own);
  {
    const MutexLock lock(&mu_);
    probe_ports_.insert(port);
  }
  // A full backlog would make connect() wait for minutes.
  const timeval patience{2, 0};
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
  if (connect(fd, reinterpret_cast<const sockaddr*>(&probe_target_), LengthOf(probe_target_)) !=
      0) {
    const auto status = fail("connect");
    close(fd);
    const MutexLock lock(&mu_);
    probe_ports_.erase(port);
    return status;
  }
  return fd;
}

}  // namespace dragoman::server
