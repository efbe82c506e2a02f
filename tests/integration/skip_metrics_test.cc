// The families about skipping against the sessions' own counts, with a real backbone and router.
#include <thread>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/main/load_model.h"
#include "tests/integration/stream_client.h"
#include "tests/integration/test_server.h"
#include "tests/support/tiny_model/test_folder.h"
#include "tests/support/tiny_model/tiny_model.h"
#include "tests/support/tiny_model/tiny_router.h"

namespace dragoman::testing {
namespace {

constexpr int kLayers = 3;

class SkipMetricsTest : public ::testing::Test {
 protected:
  SkipMetricsTest() {
    model::TinyModelOptions shape;
    shape.num_layers = kLayers;
    shape.with_tokenizer = true;
    EXPECT_TRUE(model::MakeTinyPackage(folder_ / "model", shape).ok());
    options_.config.model = folder_ / "model";
    options_.config.slots = 8;
    options_.loader = server::LoadModelParts;
  }

  // Sums of the usage of sessions, as the clients got them.
  struct Usage {
    uint64_t total = 0, skipped = 0;
  };
  static Usage RunSessions(TestServer* server, const std::vector<float>& thetas) {
    const auto stub = server->NewStub();
    std::vector<SessionResult> results(thetas.size());
    std::vector<std::thread> threads;
    for (size_t i = 0; i < thetas.size(); ++i) {
      threads.emplace_back([&, i] {
        v1::StreamConfig config = MakeConfig(i % 2 == 0 ? "wait-k:2" : "sentence");
        config.mutable_compute()->set_theta(thetas[i]);
        config.mutable_output()->set_model_stats(true);
        results[i] = RunSession(stub.get(), config,
                                {TextRequest("One two three four five. Six seven eight."),
                                 TextRequest(absl::StrCat(" And nine times ", i, " too."))});
      });
    }
    for (std::thread& thread : threads) thread.join();
    Usage usage;
    for (const SessionResult& result : results) {
      EXPECT_TRUE(result.status.ok()) << result.status.error_message();
      const v1::ComputeStats& compute = result.events.back().ended().usage().compute();
      usage.total += compute.modules_total();
      usage.skipped += compute.modules_skipped();
    }
    EXPECT_TRUE(server->WaitAtRest());
    return usage;
  }

  const TestFolder folder_;
  TestServerOptions options_;
};

TEST_F(SkipMetricsTest, AtRestTheyEqualTheSumsOfTheSessions) {
  ASSERT_TRUE(model::AddTinyRouter(folder_ / "model").ok());
  TestServer server(options_);

  const Usage usage = RunSessions(&server, {1, 0.5f, 1, 0, 0.7f, 1});

  const auto metric = [&](const std::string& label) {
    return server.Metric("dragoman_skip_rows_total", label);
  };
  EXPECT_GT(usage.skipped, 100u);
  EXPECT_EQ(metric("decision=\"skip\""), usage.skipped);
  EXPECT_EQ(server.Metric("dragoman_modules_skipped_total"), usage.skipped);
  EXPECT_GT(metric("decision=\"run\""), 0);
  EXPECT_GT(metric("group=\"source\""), 0);
  EXPECT_GT(metric("group=\"target\""), 0);
  for (const char* module : {"module=\"attention\"", "module=\"mlp\""}) {
    // Rows that may skip are asked in every layer; those of the dense session and forced ones
    // never.
    EXPECT_EQ(static_cast<int64_t>(metric(module)) % kLayers, 0);
    EXPECT_LT(metric(module), usage.total / 2.0);
  }
  EXPECT_EQ(metric("module=\"attention\""), metric("module=\"mlp\""));
  // Two modules a layer of each routed step, each on one path; one union of each module a step.
  const double steps = server.Metric("dragoman_skip_union_active_ratio_count") / 2;
  EXPECT_GT(steps, 0);
  EXPECT_LT(steps, server.Metric("dragoman_steps_total")) << "the warm-up is dense";
  EXPECT_EQ(server.Metric("dragoman_skip_exec_total"), steps * 2 * kLayers);
  EXPECT_EQ(server.Metric("dragoman_skip_exec_total", "path=\"masked\""), 0);
  EXPECT_GT(server.Metric("dragoman_skip_exec_total", "path=\"gather\""), 0);
  EXPECT_GT(server.Metric("dragoman_router_seconds_total"), 0);
  EXPECT_GT(server.Metric("dragoman_skip_bytes_saved_total", "kind=\"kv\""), 0);
  EXPECT_EQ(server.Metric("dragoman_skip_rate", "layer=\"0\""), 0) << "exempt";
  EXPECT_GT(server.Metric("dragoman_skip_rate", "layer=\"1\""), 0);
  EXPECT_GT(server.Metric("dragoman_router_rate", "group=\"target\""), 0);
  EXPECT_EQ(server.Metric("dragoman_router_calibrated_rate", "group=\"source\""), 0.251);
  EXPECT_EQ(server.Metric("dragoman_router_info", "kind=\"linear\""), 1);
  server.ExpectConsistentAtRest();
}

TEST_F(SkipMetricsTest, ServersOfDenseStreamsFeedNone) {
  ASSERT_TRUE(model::AddTinyRouter(folder_ / "model").ok());
  TestServer server(options_);

  const Usage usage = RunSessions(&server, {0, 0});

  EXPECT_GT(usage.total, 0u);
  EXPECT_EQ(usage.skipped, 0u);
  for (const char* family :
       {"dragoman_skip_rows_total", "dragoman_skip_exec_total", "dragoman_skip_bytes_saved_total",
        "dragoman_skip_union_active_ratio_count", "dragoman_router_seconds_total"}) {
    EXPECT_EQ(server.Metric(family), 0) << family;
  }
}

TEST_F(SkipMetricsTest, MaskedExecutionSavesNothingAndSaysSo) {
  ASSERT_TRUE(model::AddTinyRouter(folder_ / "model").ok());
  options_.config.router_exec = "masked";
  TestServer server(options_);

  const Usage usage = RunSessions(&server, {1, 1});

  EXPECT_EQ(server.Metric("dragoman_skip_rows_total", "decision=\"skip\""), usage.skipped);
  EXPECT_GT(server.Metric("dragoman_skip_exec_total", "path=\"masked\""), 0);
  EXPECT_EQ(server.Metric("dragoman_skip_exec_total", "path=\"gather\""), 0);
  EXPECT_EQ(server.Metric("dragoman_skip_bytes_saved_total"), 0);
}

}  // namespace
}  // namespace dragoman::testing
