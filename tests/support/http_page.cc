#include "tests/support/http_page.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <utility>

namespace dragoman::testing {

HttpPage::HttpPage(std::function<std::string(const std::string&)> answer)
    : answer_(std::move(answer)), listener_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  auto* const any = reinterpret_cast<sockaddr*>(&address);
  if (bind(listener_, any, size) == 0 && listen(listener_, 16) == 0 &&
      getsockname(listener_, any, &size) == 0) {
    port_ = ntohs(address.sin_port);
  }
  thread_ = std::thread([this] { Serve(); });
}

HttpPage::~HttpPage() {
  shutdown(listener_, SHUT_RDWR);  // ends accept()
  thread_.join();
  close(listener_);
}

std::string HttpPage::url() const {
  return "http://127.0.0.1:" + std::to_string(port_) + "/metrics";
}

std::string HttpPage::Ok(const std::string& body) {
  return "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: " +
         std::to_string(body.size()) + "\r\nConnection: close\r\n\r\n" + body;
}

void HttpPage::Serve() {
  while (true) {
    const int client = accept(listener_, nullptr, nullptr);
    if (client < 0) return;
    std::string request;
    char buffer[4096];
    while (request.find("\r\n\r\n") == std::string::npos) {
      const ssize_t got = recv(client, buffer, sizeof(buffer), 0);
      if (got <= 0) break;
      request.append(buffer, static_cast<size_t>(got));
    }
    std::string answer = answer_(request);
    while (!answer.empty()) {
      const ssize_t sent = send(client, answer.data(), answer.size(), MSG_NOSIGNAL);
      if (sent <= 0) break;
      answer.erase(0, static_cast<size_t>(sent));
    }
    close(client);
  }
}

}  // namespace dragoman::testing
