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

TEST(ChannelOptionsTest, NeverFallsBackToPlainTextUnasked) {
  ChannelOptions options = PlainText("localhost:8443");
  options.insecure = false;

  EXPECT_EQ(options.Validate().code(), absl::StatusCode::kUnimplemented);
}

TEST(ChannelOptionsTest, RefusesTimesThatAreNotPositive) {
  ChannelOptions options = PlainText("localhost:8443");
  options.connect_timeout = std::chrono::milliseconds(0);

  EXPECT_EQ(options.Validate().code(), absl::StatusCode::kInvalidArgument);
}

TEST(ChannelOptionsTest, KnowsLoopback) {
  for (const char* server :
       {"localhost:1", "127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "dns:///localhost:1"}) {
    EXPECT_TRUE(IsLoopbackServer(server)) << server;
  }
  for (const char* server : {"example.org:1", "10.127.0.1:1", "[::2]:1", "localhost.example:1"}) {
    EXPECT_FALSE(IsLoopbackServer(server)) << server;
  }
}

}  // namespace
}  // namespace dragoman::client
