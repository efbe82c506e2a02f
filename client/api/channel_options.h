// How a client reaches a server. The one place where transport security gets its settings.
#pragma once

#include <chrono>
#include <string>

#include "base/status.h"

namespace dragoman::client {

struct ChannelOptions {
  // "host:port", "[v6]:port" or a gRPC target such as "dns:///name:port".
  std::string server = "localhost:8443";
  // Plain text, no transport security. A channel without it is refused: see Validate().
  bool insecure = false;
  // One attempt to connect; a silent host costs this much per try.
  std::chrono::milliseconds connect_timeout{5000};
  // Pings of an open connection: three times the server's floor, so that jitter never trips it.
  std::chrono::milliseconds keepalive_period{30000};
  std::chrono::milliseconds keepalive_timeout{10000};
  // Unary calls only. A live stream has no deadline.
  std::chrono::milliseconds unary_deadline{60000};

  // Errors: InvalidArgument for an empty server, a bad port or a duration that is not positive;
  // Unimplemented without `insecure`, as this build speaks plain text only.
  absl::Status Validate() const;
};

// True when the host of `server` is localhost or a loopback address: such a server is never
// reached through an HTTP proxy.
bool IsLoopbackServer(const std::string& server);

}  // namespace dragoman::client
