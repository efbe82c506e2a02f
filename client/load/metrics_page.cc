#include "client/load/metrics_page.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <string_view>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"
#include "base/strings.h"

namespace dragoman::client {
namespace {

constexpr size_t kMaxHeaderBytes = 16384;
const ExpositionLimits kLimits;

// One call of recv() or send() waits at most this; then the time limit is looked at again.
constexpr timeval kSocketWait{1, 0};

class Socket {
 public:
  explicit Socket(int family) : fd_(socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0)) {}
  ~Socket() {
    if (fd_ >= 0) close(fd_);
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  int fd() const { return fd_; }

 private:
  const int fd_;
};

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
};

// nullopt for anything but a loopback address written as numbers.
std::optional<SocketAddress> Loopback(const std::string& host, uint16_t port) {
  SocketAddress address;
  in_addr v4{};
  in6_addr v6{};
  if (inet_pton(AF_INET, host.c_str(), &v4) == 1) {
    if (ntohl(v4.s_addr) >> 24 != 127) return std::nullopt;
    auto* const part = reinterpret_cast<sockaddr_in*>(&address.storage);
    part->sin_family = AF_INET;
    part->sin_port = htons(port);
    part->sin_addr = v4;
    address.size = sizeof(sockaddr_in);
    return address;
  }
  if (inet_pton(AF_INET6, host.c_str(), &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6)) {
    auto* const part = reinterpret_cast<sockaddr_in6*>(&address.storage);
    part->sin6_family = AF_INET6;
    part->sin6_port = htons(port);
    part->sin6_addr = v6;
    address.size = sizeof(sockaddr_in6);
    return address;
  }
  return std::nullopt;
}

std::string NameOf(const MetricsAddress& address) {
  const bool v6 = address.host.find(':') != std::string::npos;
  return absl::StrCat("http://", v6 ? "[" : "", address.host, v6 ? "]" : "", ":", address.port,
                      address.path);
}

absl::Status SocketError(const MetricsAddress& address, const char* what) {
  return absl::UnavailableError(
      absl::StrCat(NameOf(address), ": cannot ", what, ": ", std::strerror(errno)));
}

// Asks and reads until the server closes.
absl::StatusOr<std::string> Exchange(const MetricsAddress& address, Clock* clock,
                                     TimePoint deadline) {
  const std::optional<SocketAddress> target = Loopback(address.host, address.port);
  if (!target) return absl::InvalidArgumentError(absl::StrCat(address.host, " is not loopback"));
  const Socket socket(target->storage.ss_family);
  if (socket.fd() < 0) return SocketError(address, "make a socket");
  setsockopt(socket.fd(), SOL_SOCKET, SO_RCVTIMEO, &kSocketWait, sizeof(kSocketWait));
  setsockopt(socket.fd(), SOL_SOCKET, SO_SNDTIMEO, &kSocketWait, sizeof(kSocketWait));
  if (connect(socket.fd(), reinterpret_cast<const sockaddr*>(&target->storage), target->size) !=
      0) {
    return SocketError(address, "connect");
  }
  std::string request = absl::StrCat("GET ", address.path, " HTTP/1.0\r\nHost: ", address.host,
                                     "\r\nAccept: text/plain\r\n\r\n");
  while (!request.empty()) {
    const ssize_t sent = send(socket.fd(), request.data(), request.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return SocketError(address, "send");
    request.erase(0, static_cast<size_t>(sent));
  }
  std::string answer;
  char buffer[16384];
  while (true) {
    const ssize_t got = recv(socket.fd(), buffer, sizeof(buffer), 0);
    if (got == 0) return answer;
    const bool wait = got < 0 && (errno == EINTR || errno == EAGAIN || errno == EWOULDBLOCK);
    if (got < 0 && !wait) return SocketError(address, "read");
    if (got > 0) answer.append(buffer, static_cast<size_t>(got));
    if (answer.size() > kMaxHeaderBytes + kLimits.max_bytes) {
      return absl::ResourceExhaustedError(absl::StrCat(
          NameOf(address), ": more than ", kMaxHeaderBytes + kLimits.max_bytes, " bytes"));
    }
    if (clock->Now() >= deadline) {
      return absl::UnavailableError(absl::StrCat(NameOf(address), ": no whole answer in time"));
    }
  }
}

// The body of an HTTP answer with status 200.
absl::StatusOr<std::string_view> Body(std::string_view answer) {
  const size_t header_end = answer.find("\r\n\r\n");
  if (header_end == std::string_view::npos || header_end > kMaxHeaderBytes ||
      answer.substr(0, 7) != "HTTP/1.") {
    return absl::DataLossError("the answer is no HTTP or is cut");
  }
  const std::string_view body = answer.substr(header_end + 4);
  const std::vector<std::string> lines =
      absl::StrSplit(ToAbsl(answer.substr(0, header_end)), "\r\n");
  const std::vector<std::string> status = SplitOnWhitespace(lines[0]);
  if (status.size() < 2 || status[1] != "200") {
    return absl::UnavailableError(absl::StrCat("the answer is ", lines[0]));
  }
  for (const std::string& line : lines) {
    const size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    const std::string name = absl::AsciiStrToLower(line.substr(0, colon));
    const std::string value(absl::StripAsciiWhitespace(line.substr(colon + 1)));
    size_t length = 0;
    if (name == "transfer-encoding") {
      return absl::DataLossError("the answer has a transfer encoding, which HTTP/1.0 has not");
    }
    if (name == "content-length" && (!absl::SimpleAtoi(value, &length) || length != body.size())) {
      return absl::DataLossError(
          absl::StrCat("the answer has ", body.size(), " bytes and announces ", value));
    }
  }
  return body;
}

}  // namespace

absl::StatusOr<MetricsAddress> ParseMetricsAddress(const std::string& url) {
  const auto refuse = [&](const char* why) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", url, "' ", why, ", wanted such as http://127.0.0.1:9464/metrics"));
  };
  constexpr std::string_view kScheme = "http://";
  if (url.rfind(kScheme, 0) != 0) return refuse("is no http address");
  const auto is_plain = [](char c) { return c > ' ' && c < 0x7F; };
  if (!std::all_of(url.begin(), url.end(), is_plain)) return refuse("has strange characters");
  const std::string rest = url.substr(kScheme.size());
  const size_t slash = std::min(rest.find('/'), rest.size());
  const std::string host_port = rest.substr(0, slash);
  const size_t colon = host_port.rfind(':');
  if (colon == std::string::npos) return refuse("has no port");
  uint32_t port = 0;
  if (!absl::SimpleAtoi(host_port.substr(colon + 1), &port) || port < 1 || port > 65535) {
    return refuse("has no port of 1 to 65535");
  }
  MetricsAddress address;
  address.host = host_port.substr(0, colon);
  if (address.host == "localhost") address.host = "127.0.0.1";
  if (address.host.size() > 2 && address.host.front() == '[' && address.host.back() == ']') {
    address.host = address.host.substr(1, address.host.size() - 2);
  } else if (address.host.find(':') != std::string::npos) {
    return refuse("has a v6 address without brackets");
  }
  address.port = static_cast<uint16_t>(port);
  address.path = slash + 1 < rest.size() ? rest.substr(slash) : "/metrics";
  if (!Loopback(address.host, address.port)) return refuse("is not on a loopback address");
  return address;
}

absl::StatusOr<Exposition> FetchMetrics(const MetricsAddress& address, Clock* clock,
                                        std::chrono::milliseconds timeout) {
  DRAGOMAN_ASSIGN_OR_RETURN(const std::string answer,
                            Exchange(address, clock, clock->Now() + timeout));
  absl::StatusOr<std::string_view> body = Body(answer);
  absl::StatusOr<Exposition> page = body.ok() ? ParseExposition(*body) : body.status();
  if (page.ok()) return page;
  return absl::Status(page.status().code(),
                      absl::StrCat(NameOf(address), ": ", page.status().message()));
}

}  // namespace dragoman::client
