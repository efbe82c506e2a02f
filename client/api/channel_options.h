// How a client reaches a server. The one place where transport security gets its settings.
#pragma once

#include <chrono>
#include <string>

#include "base/status.h"

namespace dragoman::client {

struct ChannelOptions {
  // "host:port", "[v6]:port" or a gRPC target such as "dns:///name:port".
  std::string server = "localhost:8443";
  // Plain text. Without it the channel is TLS, always.
  bool insecure = false;
  // PEM files; empty: the authorities of the system, and no certificate of our own.
  std::string ca_file;
  std::string cert_file;
  std::string key_file;
  // A file with one bearer token. Empty: none is sent.
  std::string token_file;
  // One attempt to connect; a silent host costs this much per try.
  std::chrono::milliseconds connect_timeout{5000};
  // Pings of an open connection: three times the server's floor, so that jitter never trips it.
  std::chrono::milliseconds keepalive_period{30000};
  std::chrono::milliseconds keepalive_timeout{10000};
  // Unary calls only. A live stream has no deadline.
  std::chrono::milliseconds unary_deadline{60000};

  // Errors: InvalidArgument for an empty server, a bad port, a duration that is not positive, a
  // certificate without its key, certificates beside `insecure`, or a token that would leave this
  // host in plain text.
  absl::Status Validate() const;
};

// True when the host of `server` is localhost or a loopback address: such a server is never
// reached through an HTTP proxy.
bool IsLoopbackServer(const std::string& server);

}  // namespace dragoman::client
