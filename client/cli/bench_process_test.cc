// `dragoman bench` as a child process against a scripted server whose counters the test writes.
#include <unistd.h>

#include <atomic>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/json.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/child_process.h"
#include "tests/support/http_page.h"
#include "tests/support/scripted_interpreter.h"

namespace dragoman::client {
namespace {

using testing::ChildOptions;
using testing::ChildProcess;
using ::testing::HasSubstr;
using testing::HttpPage;
using ::testing::Not;
using testing::Refusal;
using testing::ScriptedInterpreter;
using testing::ServerStream;
using testing::UpperCaseSession;

struct Result {
  int code;
  std::string output;
  std::string error;
};

class BenchProcessTest : public ::testing::Test {
 protected:
  BenchProcessTest() : folder_(absl::StrCat(::testing::TempDir(), "/bench_process_", getpid())) {
    EXPECT_TRUE(WriteFileAtomically(folder_ + ".txt", "one two. three\n").ok());
  }
  ~BenchProcessTest() override {
    unlink((folder_ + ".txt").c_str());
    unlink((folder_ + ".json").c_str());
  }

  Result Bench(const std::string& address, const std::vector<std::string>& flags) {
    ChildOptions options;
    options.arguments = {DRAGOMAN_BUILD_DIR "/bin/dragoman",
                         "bench",
                         "--insecure",
                         "--server",
                         address,
                         "-s",
                         "en",
                         "-t",
                         "de",
                         "--rate",
                         "100",
                         "--duration",
                         "0.05"};
    options.arguments.insert(options.arguments.end(), flags.begin(), flags.end());
    options.arguments.push_back(folder_ + ".txt");
    ChildProcess child(options);
    const int code = child.Wait();
    return {code, child.output(), child.error()};
  }

  const std::string folder_;  // begin of all file names
};

Json Parsed(const std::string& text) {
  const absl::StatusOr<Json> json = ParseJson(text);
  EXPECT_TRUE(json.ok()) << json.status() << text;
  return json.ok() ? *json : Json::object();
}

TEST_F(BenchProcessTest, CancelledSessionsAreNoFailure) {
  ScriptedInterpreter server(UpperCaseSession);

  const Result result = Bench(server.address(), {"--streams", "4", "--arrival", "burst", "--chaos",
                                                 "cancel=.5,slow=.25", "--json"});

  EXPECT_EQ(result.code, 0) << result.error;
  const Json report = Parsed(result.output);
  EXPECT_EQ(report["completed"], 1);
  EXPECT_EQ(report["cancelled"], 2);
  EXPECT_EQ(report["slow"], 1);
  EXPECT_EQ(report["first_text_seconds"]["count"], 1);
}

TEST_F(BenchProcessTest, FindsTheSlotsOfAServerThatRefusesMore) {
  std::atomic<int> open{0};
  ScriptedInterpreter server([&](grpc::ServerContext* context, ServerStream* stream) {
    struct Count {
      explicit Count(std::atomic<int>* number) : number_(number), before(number->fetch_add(1)) {}
      ~Count() { --*number_; }
      std::atomic<int>* const number_;
      const int before;
    } const count(&open);
    // Not retryable: no waiting in this test.
    if (count.before >= 3) return Refusal(grpc::StatusCode::RESOURCE_EXHAUSTED, "QUOTA_STREAMS");
    return UpperCaseSession(context, stream);
  });

  const Result result =
      Bench(server.address(), {"--streams", "2", "--arrival", "burst", "--find-slots", "--slo",
                               "lag=30s", "--out", folder_ + ".json"});

  EXPECT_EQ(result.code, 0) << result.error;
  EXPECT_THAT(result.output, HasSubstr("slots: 3; more streams miss the SLO"));
  EXPECT_THAT(result.error, HasSubstr("trial: 2 streams"));
  EXPECT_THAT(result.error, HasSubstr("misses (1 sessions refused"));
  const Json report = Parsed(*ReadFile(folder_ + ".json"));
  EXPECT_EQ(report["slots"], 3);
  EXPECT_EQ(report["slots_limited_by"], "slo");
  EXPECT_EQ(report["streams"], 3);  // the figures are those of the best trial
  EXPECT_EQ(report["trials"].size(), 3u);
}

TEST_F(BenchProcessTest, ASearchWithoutAServerStopsAtOnce) {
  const Result result =
      Bench(testing::UnusedAddress(), {"--streams", "2", "--find-slots", "--slo", "lag=1s"});

  EXPECT_EQ(result.code, 3) << result.error;
  EXPECT_THAT(result.output, HasSubstr("the search was stopped"));
}

TEST_F(BenchProcessTest, NotOneStreamWithinTheSloIsAMiss) {
  ScriptedInterpreter server(UpperCaseSession);
  const Result result = Bench(
      server.address(), {"--streams", "2", "--find-slots", "--slo", "lag=0.0001ms", "--json"});
  EXPECT_EQ(result.code, 7) << result.error;
  EXPECT_EQ(Parsed(result.output)["slots"], 0);
}

TEST_F(BenchProcessTest, CountersThatAgreeAreInTheReport) {
  std::atomic<int> calls{0};
  ScriptedInterpreter server([&](grpc::ServerContext* context, ServerStream* stream) {
    ++calls;
    return UpperCaseSession(context, stream);
  });
  HttpPage page([&](const std::string&) {
    return HttpPage::Ok(absl::StrCat("grpc_server_started_total{grpc_method=\"StreamTranslate\"} ",
                                     calls.load(), "\ndragoman_streams{state=\"active\"} 0\n"));
  });

  const Result result =
      Bench(server.address(), {"--streams", "3", "--metrics", page.url(), "--json"});

  EXPECT_EQ(result.code, 0) << result.error;
  const Json counters = Parsed(result.output)["server_counters"];
  EXPECT_EQ(counters["agree"], true);
  const Json& started =
      counters["counters"]["grpc_server_started_total{grpc_method=\"StreamTranslate\"}"];
  EXPECT_EQ(started["server"], 3);
  EXPECT_EQ(started["client_least"], 3);
}

TEST_F(BenchProcessTest, V15_Exit70_CountersThatDoNotAgreeAreNamedWithBothFigures) {
  ScriptedInterpreter server(UpperCaseSession);
  HttpPage page([](const std::string&) {
    return HttpPage::Ok("dragoman_segments_total 7\ndragoman_streams 0\n");
  });

  const Result result =
      Bench(server.address(), {"--streams", "1", "--metrics", page.url(), "--json"});

  EXPECT_EQ(result.code, 70) << result.error;
  EXPECT_THAT(result.error, HasSubstr("dragoman_segments_total: the server says 0, the client "));
  EXPECT_EQ(Parsed(result.output)["server_counters"]["agree"], false);
}

TEST_F(BenchProcessTest, MetricsThatNobodyServesEndBeforeTheRun) {
  std::atomic<int> calls{0};
  ScriptedInterpreter server([&](grpc::ServerContext*, ServerStream*) {
    ++calls;
    return grpc::Status::OK;
  });

  const Result result =
      Bench(server.address(),
            {"--metrics", absl::StrCat("http://", testing::UnusedAddress(), "/metrics")});

  EXPECT_EQ(result.code, 3);
  EXPECT_THAT(result.error, HasSubstr("/metrics: cannot connect"));
  EXPECT_EQ(calls, 0);
}

TEST_F(BenchProcessTest, V15_Exit2_BadFlagsAreNamed) {
  const std::string address = testing::UnusedAddress();
  const std::vector<std::vector<std::string>> bad = {
      {"--arrival", "never"},
      {"--chaos", "cancel=2"},
      {"--find-slots"},
      {"--max-streams", "9"},
      {"--ramp", "1"},
      {"--metrics", "https://127.0.0.1:1/metrics"},
      {"--out", "/nowhere/at/all.json"},
  };
  for (const std::vector<std::string>& flags : bad) {
    const Result result = Bench(address, flags);
    EXPECT_EQ(result.code, 2) << flags[0];
    EXPECT_EQ(result.output, "") << flags[0];
    EXPECT_THAT(result.error, HasSubstr(flags[0]));
  }
}

TEST_F(BenchProcessTest, TheFileHasTheJsonBesideTheTextForPeople) {
  ScriptedInterpreter server(UpperCaseSession);

  const Result result =
      Bench(server.address(), {"--streams", "2", "--word-stamps", "--out", folder_ + ".json"});

  EXPECT_EQ(result.code, 0) << result.error;
  EXPECT_THAT(result.output, HasSubstr("sessions: 2 completed"));
  EXPECT_THAT(result.output, Not(HasSubstr("{")));
  const Json report = Parsed(*ReadFile(folder_ + ".json"));
  EXPECT_EQ(report["completed"], 2);
  EXPECT_EQ(report["laal_words"]["count"], 2);
}

}  // namespace
}  // namespace dragoman::client
