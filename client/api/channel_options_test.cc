#include "client/api/channel_options.h"

#include "gtest/gtest.h"

namespace dragoman::client {
namespace {

ChannelOptions PlainText(const std::string& server) {
  ChannelOptions options;
  options.server = server;
  options.insecure = true;
  return options;
}

TEST(ChannelOptionsTest, AcceptsHostsAddressesAndTargets) {
  for (const char* server : {"localhost:1", "10.0.0.1:8443", "[::1]:65535", "dns:///name:8443"}) {
    EXPECT_TRUE(PlainText(server).Validate().ok()) << server;
  }
}

TEST(ChannelOptionsTest, RefusesAServerWithoutAGoodPort) {
  for (const char* server : {"", "localhost", ":8443", "localhost:", "localhost:0",
                             "localhost:65536", "localhost:http", "localhost:-1"}) {
    EXPECT_EQ(PlainText(server).Validate().code(), absl::StatusCode::kInvalidArgument) << server;
  }
}

TEST(ChannelOptionsTest, CredentialsHaveToFitTheTransport) {
  ChannelOptions tls = PlainText("example.org:8443");
  tls.insecure = false;
  tls.token_file = "token";
  tls.cert_file = "cert";
  EXPECT_EQ(tls.Validate().code(), absl::StatusCode::kInvalidArgument);
  tls.key_file = "key";
  EXPECT_TRUE(tls.Validate().ok());

  ChannelOptions plain = PlainText("localhost:8443");
  plain.token_file = "token";
  EXPECT_TRUE(plain.Validate().ok());
  plain.server = "example.org:8443";
  EXPECT_EQ(plain.Validate().code(), absl::StatusCode::kInvalidArgument);
  plain.token_file = "";
  plain.ca_file = "ca";
  EXPECT_EQ(plain.Validate().code(), absl::StatusCode::kInvalidArgument);
}

TEST(ChannelOptionsTest, RefusesTimesThatAreNotPositive) {
  ChannelOptions options = PlainText("localhost:8443");
  options.connect_timeout = std::chrono::milliseconds(0);

  EXPECT_EQ(options.Validate().code(), absl::StatusCode::kInvalidArgument);
}

TEST(ChannelOptionsTest, KnowsLoopback) {
  for (const char* server : {"localhost:1", "127.0.0.1:1", "127.9.9.9:1", "[::1]:1",
                             "dns:///localhost:1", "ipv4:127.0.0.1:1,127.0.0.1:2"}) {
    EXPECT_TRUE(IsLoopbackServer(server)) << server;
  }
  for (const char* server : {"example.org:1", "10.127.0.1:1", "[::2]:1", "localhost.example:1",
                             "ipv4:127.0.0.1:1,10.0.0.1:2"}) {
    EXPECT_FALSE(IsLoopbackServer(server)) << server;
  }
}

}  // namespace
}  // namespace dragoman::client
