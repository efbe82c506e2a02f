#include "server/telemetry/admin_probe.h"

#include <netdb.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace dragoman::server {
namespace {

constexpr char kRequest[] = "GET /readyz HTTP/1.0\r\nConnection: close\r\n\r\n";
constexpr size_t kMaxAnswerBytes = 4096;

class Socket {
 public:
  explicit Socket(int fd) : fd_(fd) {}
  ~Socket() {
    if (fd_ >= 0) close(fd_);
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  int fd() const { return fd_; }

 private:
  const int fd_;
};

absl::Status Failure(const char* what) {
  return absl::UnavailableError(
      absl::StrCat("the admin port: cannot ", what, ": ", std::strerror(errno)));
}

}  // namespace

absl::Status ProbeReady(const std::string& host, uint16_t port, Duration timeout) {
  std::string target = host;
  if (host == "0.0.0.0") target = "127.0.0.1";
  if (host == "::") target = "::1";
  if (host == "localhost") target = "127.0.0.1";
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (getaddrinfo(target.c_str(), std::to_string(port).c_str(), &hints, &found) != 0) {
    return absl::InvalidArgumentError(absl::StrCat(host, " is no address of the admin port"));
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> address(found, freeaddrinfo);

  const Socket socket(::socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (socket.fd() < 0) return Failure("make a socket");
  const auto microseconds = std::chrono::duration_cast<std::chrono::microseconds>(timeout).count();
  const timeval wait{microseconds / 1'000'000, microseconds % 1'000'000};
  setsockopt(socket.fd(), SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
  setsockopt(socket.fd(), SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
  if (connect(socket.fd(), address->ai_addr, address->ai_addrlen) != 0) return Failure("connect");
  if (send(socket.fd(), kRequest, sizeof(kRequest) - 1, MSG_NOSIGNAL) !=
      static_cast<ssize_t>(sizeof(kRequest) - 1)) {
    return Failure("send");
  }
  std::string answer;
  char buffer[1024];
  while (answer.size() < kMaxAnswerBytes && answer.find('\n') == std::string::npos) {
    const ssize_t got = recv(socket.fd(), buffer, sizeof(buffer), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Failure("read");
    if (got == 0) break;
    answer.append(buffer, static_cast<size_t>(got));
  }
  const std::string line = answer.substr(0, answer.find_first_of("\r\n"));
  if (absl::StartsWith(line, "HTTP/1.") && absl::StrContains(line, " 200 ")) {
    return absl::OkStatus();
  }
  return absl::UnavailableError(line.empty() ? "the admin port gave no answer"
                                             : absl::StrCat("not ready: ", line));
}

}  // namespace dragoman::server
