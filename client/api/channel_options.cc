#include "client/api/channel_options.h"

#include <cstdint>
#include <string_view>

#include "absl/strings/numbers.h"
#include "base/strings.h"

namespace dragoman::client {
namespace {

// The part of a target after the last "/" of a scheme such as "dns:///".
std::string_view AddressPart(std::string_view server) {
  const size_t slash = server.rfind('/');
  return slash == std::string_view::npos ? server : server.substr(slash + 1);
}

std::string_view HostPart(std::string_view address) {
  if (!address.empty() && address.front() == '[') {
    const size_t end = address.find(']');
    return end == std::string_view::npos ? address : address.substr(1, end - 1);
  }
  return address.substr(0, address.rfind(':'));
}

}  // namespace

bool IsLoopbackServer(const std::string& server) {
  std::string_view rest = AddressPart(server);
  // A list of addresses: "ipv4:127.0.0.1:1,127.0.0.1:2".
  if (rest.substr(0, 5) == "ipv4:" || rest.substr(0, 5) == "ipv6:") rest.remove_prefix(5);
  while (true) {
    const size_t comma = rest.find(',');
    const std::string_view host = HostPart(rest.substr(0, comma));
    if (host != "localhost" && host != "::1" && host.substr(0, 4) != "127.") return false;
    if (comma == std::string_view::npos) return true;
    rest.remove_prefix(comma + 1);
  }
}

absl::Status ChannelOptions::Validate() const {
  const std::string_view address = AddressPart(server);
  if (address.empty()) return absl::InvalidArgumentError("the server address is empty");
  const size_t colon = address.rfind(':');
  uint32_t port = 0;
  if (colon == std::string_view::npos || colon == 0 ||
      !absl::SimpleAtoi(ToAbsl(address.substr(colon + 1)), &port) || port == 0 || port > 65535) {
    return absl::InvalidArgumentError(
        absl::StrCat("the server address '", server, "' is not host:port with a port of 1..65535"));
  }
  if (connect_timeout.count() <= 0 || keepalive_period.count() <= 0 ||
      keepalive_timeout.count() <= 0 || unary_deadline.count() <= 0) {
    return absl::InvalidArgumentError("the times of a channel must be positive");
  }
  if (cert_file.empty() != key_file.empty()) {
    return absl::InvalidArgumentError("a certificate and its key are needed both or not at all");
  }
  if (insecure && !(ca_file.empty() && cert_file.empty())) {
    return absl::InvalidArgumentError("plain text has no use for certificates");
  }
  if (insecure && !token_file.empty() && !IsLoopbackServer(server)) {
    return absl::InvalidArgumentError("a token does not leave this host in plain text");
  }
  return absl::OkStatus();
}

}  // namespace dragoman::client
