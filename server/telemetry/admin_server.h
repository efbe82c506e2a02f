// The admin port: plain HTTP with /metrics, /livez, /readyz and /configz, apart from the gRPC port
// because probes carry no credentials. Exceptions of the HTTP library stop here.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/status.h"

namespace dragoman::server {

// Called on threads of the HTTP server; must be thread-safe.
struct AdminPages {
  std::function<std::string()> metrics;
  std::function<bool()> ready;
  std::function<std::string()> config;
};

class AdminServer {
 public:
  // `address`: "host:port"; port 0 lets the system choose.
  // Errors: Unavailable when the port cannot be bound.
  static absl::StatusOr<std::unique_ptr<AdminServer>> Start(const std::string& address,
                                                            AdminPages pages);
  virtual ~AdminServer() = default;
  virtual int port() const = 0;
};

}  // namespace dragoman::server
