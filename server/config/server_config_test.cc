#include "server/config/server_config.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace dragoman::server {
namespace {

using ::testing::HasSubstr;

ParsedConfig Parse(const std::vector<std::string>& arguments,
                   const std::vector<std::string>& environment = {}) {
  auto parsed = ParseConfig(arguments, environment);
  EXPECT_TRUE(parsed.ok()) << parsed.status();
  return parsed.ok() ? *std::move(parsed) : ParsedConfig{};
}

ServerConfig Valid() {
  ServerConfig config;
  config.insecure = true;
  config.model = "folder";
  return config;
}

TEST(ServerConfigTest, DefaultsAreThoseOfTheLimitTable) {
  const ServerConfig config = Parse({}).config;

  EXPECT_EQ(config.listen, "127.0.0.1:8443");
  EXPECT_EQ(config.max_message_bytes, 262144u);
  EXPECT_EQ(config.max_text_chunk_bytes, 16384u);
  EXPECT_EQ(config.idle_seconds, 60u);
  EXPECT_EQ(config.config_seconds, 10u);
  EXPECT_EQ(config.queue_depth, 64u);
  EXPECT_EQ(config.queue_wait_ms, 2000u);
  EXPECT_EQ(config.max_stream_seconds, 14400u);
  EXPECT_EQ(config.drain_seconds, 600u);
}

TEST(ServerConfigTest, FlagWinsOverVariableAndOriginIsKept) {
  const ParsedConfig parsed =
      Parse({"--slots=7", "--insecure"}, {"DRAGOMAN_SLOTS=9", "DRAGOMAN_QUEUE_DEPTH=3", "PATH=x"});

  EXPECT_EQ(parsed.config.slots, 7u);
  EXPECT_EQ(parsed.config.queue_depth, 3u);
  EXPECT_TRUE(parsed.config.insecure);
  EXPECT_EQ(parsed.sources.at("slots").origin, "flag");
  EXPECT_EQ(parsed.sources.at("queue-depth").origin, "environment");
  EXPECT_EQ(parsed.sources.at("queue-depth").value, "3");
  EXPECT_EQ(parsed.sources.at("listen").origin, "default");
}

TEST(ServerConfigTest, SwitchesTakeOnAndOff) {
  EXPECT_FALSE(Parse({"--reflection=off"}).config.reflection);
  EXPECT_TRUE(Parse({"--reflection=on"}, {"DRAGOMAN_REFLECTION=off"}).config.reflection);
  EXPECT_FALSE(Parse({}, {"DRAGOMAN_REFLECTION=0"}).config.reflection);
  EXPECT_FALSE(ParseConfig({"--reflection=maybe"}, {}).ok());
}

TEST(ServerConfigTest, UnknownFlagOrVariableIsAnError) {
  EXPECT_FALSE(ParseConfig({"--no-such-flag"}, {}).ok());
  EXPECT_FALSE(ParseConfig({"stray"}, {}).ok());
  const auto variable = ParseConfig({}, {"DRAGOMAN_SLOTZ=3"});
  ASSERT_FALSE(variable.ok());
  EXPECT_THAT(std::string(variable.status().message()), HasSubstr("DRAGOMAN_SLOTZ"));
}

TEST(ServerConfigTest, VariablesOfTheClientAndOfKubernetesAreNotTheServers) {
  const ParsedConfig parsed =
      Parse({}, {"DRAGOMAN_SERVER=127.0.0.1:8443", "DRAGOMAN_PORT=tcp://10.0.0.1:8443",
                 "DRAGOMAN_SERVICE_HOST=10.0.0.1", "DRAGOMAN_PORT_8443_TCP_PROTO=tcp"});

  EXPECT_EQ(parsed.config.listen, ServerConfig().listen);
}

TEST(ServerConfigTest, BadNumbersNameTheFlag) {
  const auto parsed = ParseConfig({"--slots=many"}, {});
  ASSERT_FALSE(parsed.ok());
  EXPECT_THAT(std::string(parsed.status().message()), HasSubstr("--slots=many"));
  EXPECT_FALSE(ParseConfig({"--slots=-1"}, {}).ok());
}

TEST(ServerConfigTest, KnowsTheWaysOfComputingSkippedRows) {
  ServerConfig config = Valid();
  for (const char* exec : {"auto", "gather", "masked"}) {
    config.router_exec = exec;
    EXPECT_TRUE(config.Validate().ok()) << exec;
  }

  config.router_exec = "scatter";

  EXPECT_THAT(std::string(config.Validate().message()), HasSubstr("--router-exec=scatter"));
}

TEST(ServerConfigTest, PlainTextNeedsInsecureAndStaysOnLoopback) {
  ServerConfig config = Valid();
  EXPECT_TRUE(config.Validate().ok()) << config.Validate();

  config.insecure = false;
  EXPECT_FALSE(config.Validate().ok());
  config.insecure = true;
  config.listen = "0.0.0.0:8443";
  EXPECT_FALSE(config.Validate().ok());
  config.insecure_any = true;
  EXPECT_TRUE(config.Validate().ok());
}

TEST(ServerConfigTest, CertificatesReplaceInsecureAndServeAnyAddress) {
  ServerConfig config = Valid();
  config.listen = "0.0.0.0:8443";
  config.cert = "cert.pem";
  config.key = "key.pem";
  EXPECT_FALSE(config.Validate().ok()) << "both --insecure and --cert";
  config.insecure = false;
  EXPECT_TRUE(config.Validate().ok()) << config.Validate();
  config.client_ca = "ca.pem";
  EXPECT_TRUE(config.Validate().ok()) << config.Validate();
  config.key.clear();
  EXPECT_FALSE(config.Validate().ok());

  config = Valid();
  config.client_ca = "ca.pem";
  EXPECT_FALSE(config.Validate().ok()) << "client certificates without TLS";
  config = Valid();
  config.token_file = "clients";  // a proxy in front may do the TLS
  EXPECT_TRUE(config.Validate().ok()) << config.Validate();
}

TEST(ServerConfigTest, ValidateNamesLimits) {
  ServerConfig config = Valid();
  config.queue_wait_ms = 30001;
  EXPECT_THAT(std::string(config.Validate().message()), HasSubstr("0..30000"));
  config = Valid();
  config.max_text_chunk_bytes = config.max_message_bytes + 1;
  EXPECT_FALSE(config.Validate().ok());
  config = Valid();
  config.log_level = "loud";
  EXPECT_FALSE(config.Validate().ok());
  config = Valid();
  config.weights = "int3";
  EXPECT_THAT(std::string(config.Validate().message()), HasSubstr("--weights=int3"));
  config.weights = "int8";
  config.compute = "int3";
  EXPECT_FALSE(config.Validate().ok());
}

TEST(ServerConfigTest, PrintShowsValueAndOrigin) {
  const ParsedConfig parsed = Parse({"--print-config", "--slots=7"});
  EXPECT_EQ(parsed.action, ParsedConfig::Action::kPrint);
  EXPECT_THAT(PrintConfig(parsed), ::testing::ContainsRegex("slots +7 +\\(flag\\)"));
  EXPECT_EQ(Parse({"--check-config"}).action, ParsedConfig::Action::kCheck);
  const ParsedConfig help = Parse({"--help"});
  EXPECT_EQ(help.action, ParsedConfig::Action::kHelp);
  EXPECT_THAT(help.help, HasSubstr("--max-text-chunk-bytes"));
}

TEST(ServerConfigTest, ParsesAddresses) {
  EXPECT_EQ(ParseHostPort("127.0.0.1:0")->port, 0);
  EXPECT_EQ(ParseHostPort("[::1]:8443")->host, "::1");
  EXPECT_TRUE(IsLoopback("::1"));
  EXPECT_TRUE(IsLoopback("127.8.0.1"));
  EXPECT_FALSE(IsLoopback("10.0.0.1"));
  for (const char* bad : {"", "host", ":1", "host:", "host:65536", "::1:80"}) {
    EXPECT_FALSE(ParseHostPort(bad).ok()) << bad;
  }
}

}  // namespace
}  // namespace dragoman::server
