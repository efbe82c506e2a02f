// The reader of metrics pages against a real socket on loopback.
#include "client/load/metrics_page.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/http_page.h"
#include "tests/support/scripted_interpreter.h"

namespace dragoman::client {
namespace {

using dragoman::testing::HttpPage;
using ::testing::HasSubstr;

absl::StatusOr<Exposition> Fetch(const std::string& url, int timeout_ms = 5000) {
  SystemClock clock;
  const auto address = ParseMetricsAddress(url);
  if (!address.ok()) return address.status();
  return FetchMetrics(*address, &clock, std::chrono::milliseconds(timeout_ms));
}

TEST(MetricsAddressTest, TakesLoopbackAddressesAlone) {
  const auto plain = ParseMetricsAddress("http://127.0.0.1:9464/metrics");
  ASSERT_TRUE(plain.ok()) << plain.status();
  EXPECT_EQ(plain->host, "127.0.0.1");
  EXPECT_EQ(plain->port, 9464);
  EXPECT_EQ(plain->path, "/metrics");
  EXPECT_EQ(ParseMetricsAddress("http://localhost:1")->host, "127.0.0.1");
  EXPECT_EQ(ParseMetricsAddress("http://localhost:1/")->path, "/metrics");
  EXPECT_EQ(ParseMetricsAddress("http://[::1]:80/a?b")->host, "::1");
  EXPECT_EQ(ParseMetricsAddress("http://[::1]:80/a?b")->path, "/a?b");

  for (const char* url :
       {"", "127.0.0.1:9464", "https://127.0.0.1:9464/metrics", "http://10.0.0.1:9464/metrics",
        "http://example.org:9464/metrics", "http://[::2]:80/", "http://::1:80/",
        "http://127.0.0.1/metrics", "http://127.0.0.1:0/", "http://127.0.0.1:65536/",
        "http://127.0.0.1:x/", "http://user@127.0.0.1:1/", "http://127.0.0.1:1/a b",
        "http://127.0.0.1:1/a\r\nHost: x", "http://128.0.0.1:1/", "http://0.0.0.0:1/"}) {
    EXPECT_EQ(ParseMetricsAddress(url).status().code(), absl::StatusCode::kInvalidArgument) << url;
  }
}

TEST(MetricsPageTest, AsksWithOnePlainGetAndReadsTheAnswer) {
  std::string asked;
  HttpPage page([&](const std::string& request) {
    asked = request;
    return HttpPage::Ok("a_total 5\n");
  });

  const auto metrics = Fetch(page.url());

  ASSERT_TRUE(metrics.ok()) << metrics.status();
  EXPECT_EQ(metrics->Sum("a_total"), 5.0);
  EXPECT_THAT(asked, ::testing::StartsWith("GET /metrics HTTP/1.0\r\n"));
}

TEST(MetricsPageTest, AnswersThatAreNotWholeOrNotGoodAreRefused) {
  const std::pair<const char*, absl::StatusCode> cases[] = {
      {"HTTP/1.1 503 Service Unavailable\r\n\r\n", absl::StatusCode::kUnavailable},
      {"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\na 1\n", absl::StatusCode::kDataLoss},
      {"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\na 1\n", absl::StatusCode::kDataLoss},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
       absl::StatusCode::kDataLoss},
      {"HTTP/1.1 200 OK\r\nContent-Len", absl::StatusCode::kDataLoss},
      {"SSH-2.0-x\r\n\r\n", absl::StatusCode::kDataLoss},
      {"", absl::StatusCode::kDataLoss},
      {"HTTP/1.1 200 OK\r\n\r\n<html>", absl::StatusCode::kInvalidArgument},
  };
  for (const auto& [answer, code] : cases) {
    HttpPage page([answer = std::string(answer)](const std::string&) { return answer; });
    const auto metrics = Fetch(page.url());
    EXPECT_EQ(metrics.status().code(), code) << answer << metrics.status();
    EXPECT_THAT(std::string(metrics.status().message()), HasSubstr(page.url())) << answer;
  }
}

TEST(MetricsPageTest, AnEndlessAnswerIsCutOff) {
  HttpPage page([](const std::string&) {
    return "HTTP/1.1 200 OK\r\n\r\n" + std::string(size_t{5} << 20, '\n');
  });
  const absl::Status status = Fetch(page.url()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), HasSubstr("more than"));  // while it was read
}

TEST(MetricsPageTest, AnAnswerInPiecesHasOneTimeLimit) {
  HttpPage page([](const std::string&) { return HttpPage::Ok(std::string(1 << 20, '\n')); });
  EXPECT_EQ(Fetch(page.url(), 0).status().code(), absl::StatusCode::kUnavailable);
}

TEST(MetricsPageTest, NobodyThereIsUnavailable) {
  const auto metrics = Fetch("http://" + testing::UnusedAddress() + "/metrics");
  EXPECT_EQ(metrics.status().code(), absl::StatusCode::kUnavailable) << metrics.status();
}

}  // namespace
}  // namespace dragoman::client
