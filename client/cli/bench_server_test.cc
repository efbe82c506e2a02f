// The real server with the bundled model under `dragoman bench`: the counters of the server have to
// equal what its client saw, whole sessions and broken-off ones (service.md, R34).
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/json.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/child_process.h"

namespace dragoman::client {
namespace {

using testing::ChildOptions;
using testing::ChildProcess;

class BenchServerTest : public ::testing::Test {
 protected:
  BenchServerTest() : folder_(absl::StrCat(::testing::TempDir(), "/bench_server_", getpid())) {
    std::filesystem::create_directories(folder_);
    ChildOptions options;
    options.arguments = {DRAGOMAN_BUILD_DIR "/bin/dragoman-server",
                         "--model",
                         DRAGOMAN_SOURCE_DIR "/model/pretrained",
                         "--insecure",
                         "--listen",
                         "127.0.0.1:0",
                         "--admin-listen",
                         "127.0.0.1:0",
                         "--drain-grace-seconds",
                         "0",
                         "--port-file",
                         folder_ + "/ports"};
    server_ = std::make_unique<ChildProcess>(options);
    EXPECT_TRUE(server_->WaitForError("\"model_ready\"")) << server_->error();
    const absl::StatusOr<Json> ports = ReadJsonFile(folder_ + "/ports");
    EXPECT_TRUE(ports.ok()) << ports.status();
    if (!ports.ok()) return;
    address_ = absl::StrCat("127.0.0.1:", (*ports)["grpc"].get<int>());
    metrics_ = absl::StrCat("http://127.0.0.1:", (*ports)["admin"].get<int>(), "/metrics");
  }
  ~BenchServerTest() override {
    server_.reset();
    std::filesystem::remove_all(folder_);
  }

  // The report of a good run.
  Json Bench(const std::vector<std::string>& flags) {
    ChildOptions options;
    options.arguments = {DRAGOMAN_BUILD_DIR "/bin/dragoman",
                         "bench",
                         "--insecure",
                         "--server",
                         address_,
                         "--metrics",
                         metrics_,
                         "-s",
                         "en",
                         "-t",
                         "de",
                         "--policy",
                         "wait-k:2",
                         "--rate",
                         "8",
                         "--duration",
                         "2",
                         "--streams",
                         "6",
                         "--json"};
    options.arguments.insert(options.arguments.end(), flags.begin(), flags.end());
    options.arguments.push_back(DRAGOMAN_SOURCE_DIR "/tests/bench/talk.txt");
    ChildProcess child(options);
    EXPECT_EQ(child.Wait(), 0) << child.error();
    const absl::StatusOr<Json> report = ParseJson(child.output());
    EXPECT_TRUE(report.ok()) << report.status() << child.output();
    return report.ok() ? *report : Json::object();
  }

  const std::string folder_;
  std::unique_ptr<ChildProcess> server_;
  std::string address_;
  std::string metrics_;
};

TEST_F(BenchServerTest, R34_CountersEqualWhatWholeSessionsSaw) {
  const Json report = Bench({"--arrival", "poisson", "--word-stamps", "--unstable-tail"});

  EXPECT_EQ(report["completed"], 6);
  EXPECT_EQ(report["laal_words"]["count"], 6);
  EXPECT_TRUE(report.contains("flicker"));
  const Json& counters = report["server_counters"];
  EXPECT_EQ(counters["agree"], true);
  EXPECT_EQ(counters["absent"].size(), 0u) << DumpJson(counters["absent"]);
  for (const char* name :
       {"dragoman_source_words_total", "dragoman_target_words_total", "dragoman_segments_total",
        "dragoman_events_total", "dragoman_final_bytes_total",
        "dragoman_messages_total{kind=\"text\"}"}) {
    const Json& counter = counters["counters"][name];
    EXPECT_GT(counter["server"], 0) << name;
    EXPECT_EQ(counter["server"], counter["client_least"]) << name;
    EXPECT_EQ(counter["server"], counter["client_most"]) << name;
  }
  EXPECT_EQ(report["source_words"], counters["counters"]["dragoman_source_words_total"]["server"]);
}

TEST_F(BenchServerTest, R34_CountersHoldForSessionsThatCancelOrReadSlowly) {
  const Json report = Bench({"--arrival", "burst", "--chaos", "cancel=.34,slow=.33"});

  EXPECT_EQ(report["completed"], 2);
  EXPECT_EQ(report["cancelled"], 2);
  EXPECT_EQ(report["slow"], 2);
  EXPECT_EQ(report["server_counters"]["agree"], true) << DumpJson(report["server_counters"], 2);
  const Json& counters = report["server_counters"]["counters"];
  EXPECT_EQ(counters["dragoman_stream_seconds_count"]["server"], 6);
  EXPECT_EQ(counters["dragoman_slots_used"]["server"], 0);
}

}  // namespace
}  // namespace dragoman::client
