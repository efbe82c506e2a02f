#include "server/telemetry/admin_server.h"

#include <exception>
#include <utility>
#include <vector>

#include "CivetServer.h"

namespace dragoman::server {
namespace {

class Page final : public CivetHandler {
 public:
  struct Answer {
    int code = 200;
    std::string content_type = "text/plain; charset=utf-8";
    std::string body;
  };
  explicit Page(std::function<Answer()> make) : make_(std::move(make)) {}

  bool handleGet(CivetServer*, mg_connection* connection) override {
    const Answer answer = make_();
    mg_printf(connection,
              "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
              "Connection: close\r\n\r\n",
              answer.code, answer.code == 200 ? "OK" : "Service Unavailable",
              answer.content_type.c_str(), answer.body.size());
    mg_write(connection, answer.body.data(), answer.body.size());
    return true;
  }

 private:
  const std::function<Answer()> make_;
};

class CivetAdminServer final : public AdminServer {
 public:
  CivetAdminServer(const std::string& address, AdminPages pages)
      : pages_(std::move(pages)),
        metrics_([this] {
          return Page::Answer{200, "text/plain; version=0.0.4; charset=utf-8", pages_.metrics()};
        }),
        live_([] {
          return Page::Answer{200, "text/plain", "ok\n"};
        }),
        ready_([this] {
          return pages_.ready() ? Page::Answer{200, "text/plain", "ready\n"}
                                : Page::Answer{503, "text/plain", "not ready\n"};
        }),
        config_([this] {
          return Page::Answer{200, "text/plain", pages_.config()};
        }),
        server_(std::vector<std::string>{"listening_ports", address, "num_threads", "2",
                                         "request_timeout_ms", "5000"}) {
    server_.addHandler("/metrics$", metrics_);
    server_.addHandler("/livez$", live_);
    server_.addHandler("/readyz$", ready_);
    server_.addHandler("/configz$", config_);
  }
  ~CivetAdminServer() override { server_.close(); }

  int port() const override { return const_cast<CivetServer&>(server_).getListeningPorts()[0]; }

 private:
  const AdminPages pages_;
  Page metrics_;
  Page live_;
  Page ready_;
  Page config_;
  CivetServer server_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<AdminServer>> AdminServer::Start(const std::string& address,
                                                                AdminPages pages) {
  try {
    return std::make_unique<CivetAdminServer>(address, std::move(pages));
  } catch (const std::exception& error) {
    return absl::UnavailableError(
        absl::StrCat("admin port ", address, " cannot be served: ", error.what()));
  }
}

}  // namespace dragoman::server
