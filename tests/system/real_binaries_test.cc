// The real programs with the bundled model: server, client and evaluator as a user runs them.
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/file.h"
#include "base/json.h"
#include "base/sha256.h"
#include "gtest/gtest.h"
#include "tests/support/child_process.h"
#include "tests/support/test_certificates.h"

namespace dragoman {
namespace {

using testing::ChildOptions;
using testing::ChildProcess;

const char kBuild[] = DRAGOMAN_BUILD_DIR;
const std::string kModel = std::string(DRAGOMAN_SOURCE_DIR) + "/model/pretrained";

const std::vector<std::string>& Sentences() {
  static const std::vector<std::string> sentences = {
      "Good morning.",
      "I would like to go home now.",
      "She bought two books for her little brother.",
      "The train was late, so we took a taxi.",
      "Tom doesn't know why Mary left.",
      "How much does this cost?",
      "We met at 10:30 on 24/11/2026.",
      "He said: \"Wait for me!\" and ran away.",
      "Visit https://example.org/a?b=c for more 😀.",
      "Dr. Smith lives in Berlin",
  };
  return sentences;
}

// Runs a program to its end and gives its standard output.
std::string RunProgram(const std::vector<std::string>& arguments, const std::string& input,
                       int expected_exit = 0) {
  ChildOptions options;
  options.arguments = arguments;
  options.arguments[0] = absl::StrCat(kBuild, "/bin/", arguments[0]);
  ChildProcess child(options);
  child.WriteInput(input);
  EXPECT_EQ(child.Wait(), expected_exit) << child.error();
  return child.output();
}

class RealBinariesTest : public ::testing::Test {
 protected:
  RealBinariesTest() : folder_(absl::StrCat(::testing::TempDir(), "/binaries_", getpid())) {
    std::filesystem::create_directories(folder_);
    ChildOptions options;
    options.arguments = {absl::StrCat(kBuild, "/bin/dragoman-server"),
                         "--model",
                         kModel,
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
    if (ports.ok()) address_ = absl::StrCat("127.0.0.1:", (*ports)["grpc"].get<int>());
  }
  ~RealBinariesTest() override { std::filesystem::remove_all(folder_); }

  // One session whose text comes in one line at a time; the finals, one a line.
  std::string Translate(const std::string& policy, const std::string& input) {
    return RunProgram({"dragoman", "translate", "-s", "en", "-t", "de", "--insecure", "--server",
                       address_, "--policy", policy, "--segment", "client", "-"},
                      input);
  }

  const std::string folder_;
  std::string address_;
  std::unique_ptr<ChildProcess> server_;
};

TEST_F(RealBinariesTest, ServerEqualsEvaluatorForEveryPolicy) {
  std::string source;
  for (const std::string& sentence : Sentences()) absl::StrAppend(&source, sentence, "\n");
  ASSERT_TRUE(WriteFileAtomically(folder_ + "/source", source).ok());
  for (const std::string policy : {"wait-k:1", "wait-k:3", "sentence"}) {
    RunProgram({"dragoman-model", "evaluate", "--model", kModel, "--source", folder_ + "/source",
                "--reference", folder_ + "/source", "--target", "de", "--policy", policy,
                "--hypotheses", folder_ + "/hypotheses", "--json"},
               "");
    const std::vector<std::string> evaluated =
        absl::StrSplit(*ReadFile(folder_ + "/hypotheses"), '\n');
    ASSERT_EQ(evaluated.size(), Sentences().size() + 1);
    for (size_t i = 0; i < Sentences().size(); ++i) {
      EXPECT_EQ(Translate(policy, Sentences()[i] + "\n"), evaluated[i] + "\n")
          << policy << ": " << Sentences()[i];
    }
  }
}

TEST_F(RealBinariesTest, AnyChunkingGivesTheSameBytes) {
  const std::string text = "I would like to go home now. My sister works in a small hospital.";
  const std::vector<std::string> command = {absl::StrCat(kBuild, "/bin/dragoman"),
                                            "translate",
                                            "-s",
                                            "en",
                                            "-t",
                                            "de",
                                            "--insecure",
                                            "--server",
                                            address_,
                                            "--policy",
                                            "wait-k:2",
                                            "-"};
  std::vector<std::string> outputs;
  for (const size_t piece : {text.size(), size_t{1}, size_t{7}}) {
    ChildOptions options;
    options.arguments = command;
    ChildProcess client(options);
    for (size_t i = 0; i < text.size(); i += piece) client.WriteInput(text.substr(i, piece));
    EXPECT_EQ(client.Wait(), 0) << client.error();
    outputs.push_back(client.output());
  }
  EXPECT_FALSE(outputs[0].empty());
  EXPECT_EQ(outputs[1], outputs[0]);
  EXPECT_EQ(outputs[2], outputs[0]);
}

TEST_F(RealBinariesTest, JsonLinesAreWholeAndEndWithTheSession) {
  const std::string output = RunProgram({"dragoman", "translate", "-s", "en", "-t", "fr",
                                         "--insecure", "--server", address_, "--jsonl", "-"},
                                        "Good morning.\n");
  std::string last;
  for (const auto& line : absl::StrSplit(output, '\n', absl::SkipEmpty())) {
    const absl::StatusOr<Json> event = ParseJson(std::string(line));
    ASSERT_TRUE(event.ok()) << event.status() << ": " << std::string(line);
    last = std::string(line);
  }
  EXPECT_NE(last.find("\"ended\""), std::string::npos) << last;
  EXPECT_NE(last.find("END_COMPLETE"), std::string::npos) << last;
}

TEST_F(RealBinariesTest, SigtermDrainsAndExitsWithZero) {
  server_->Signal(SIGTERM);
  EXPECT_EQ(server_->Wait(), 0) << server_->error();
}

// The new process stands for another replica: it shares nothing with the one that was killed.
TEST_F(RealBinariesTest, R25_KillOfTheServerIsSurvivedAndFinalsStay) {
  ChildOptions options;
  options.arguments = {absl::StrCat(kBuild, "/bin/dragoman"),
                       "translate",
                       "-s",
                       "en",
                       "-t",
                       "de",
                       "--insecure",
                       "--server",
                       address_,
                       "--jsonl",
                       "-"};
  ChildProcess client(options);
  client.WriteInput("Good morning. I would");
  ASSERT_TRUE(client.WaitForOutput("segmentFinal")) << client.error();
  const std::string before = client.output();
  server_->Signal(SIGKILL);
  EXPECT_EQ(server_->Wait(), -SIGKILL);
  client.WriteInput(" like to go home now.");

  ChildOptions again;
  again.arguments = {absl::StrCat(kBuild, "/bin/dragoman-server"),
                     "--model",
                     kModel,
                     "--insecure",
                     "--listen",
                     address_,
                     "--admin-listen",
                     "off"};
  ChildProcess other(again);
  ASSERT_TRUE(other.WaitForError("\"model_ready\"")) << other.error();
  ASSERT_TRUE(client.WaitForOutput("\"resumed\":true")) << client.error();
  EXPECT_EQ(client.Wait(), 0) << client.error();
  const std::string after = client.output();
  EXPECT_EQ(after.substr(0, before.size()), before);
  EXPECT_NE(after.find("\"segment\":2"), std::string::npos) << after;
  EXPECT_NE(after.find("END_COMPLETE"), std::string::npos) << after;
}

// TLS and tokens by the flags of both programs; the file of clients is watched without help.
TEST(CredentialsTest, V16_FlagsOfBothProgramsAndARemovedTokenWithinTenSeconds) {
  const std::string folder = absl::StrCat(::testing::TempDir(), "/credentials_", getpid());
  std::filesystem::create_directories(folder);
  const testing::TestAuthority authority;
  const testing::TestPair pair = authority.Issue();
  const auto write = [&](const char* name, const std::string& text) {
    ASSERT_TRUE(WriteFileAtomically(absl::StrCat(folder, "/", name), text).ok());
  };
  write("ca", authority.certificate());
  write("cert", pair.certificate);
  write("key", pair.key);
  write("token", "a-long-token\n");
  write("clients",
        absl::StrCat("sha256:", Sha256Hex("a-long-token"), " speaker translate default - -\n"));
  ChildOptions options;
  options.arguments = {absl::StrCat(kBuild, "/bin/dragoman-server"),
                       "--model",
                       kModel,
                       "--listen",
                       "localhost:0",
                       "--admin-listen",
                       "off",
                       "--cert",
                       folder + "/cert",
                       "--key",
                       folder + "/key",
                       "--token-file",
                       folder + "/clients",
                       "--port-file",
                       folder + "/ports"};
  ChildProcess server(options);
  ASSERT_TRUE(server.WaitForError("\"model_ready\"")) << server.error();
  const absl::StatusOr<Json> ports = ReadJsonFile(folder + "/ports");
  ASSERT_TRUE(ports.ok()) << ports.status();
  const std::string address = absl::StrCat("localhost:", (*ports)["grpc"].get<int>());

  EXPECT_NE(RunProgram({"dragoman", "info", "--server", address, "--ca", folder + "/ca",
                        "--token-file", folder + "/token"},
                       "")
                .find("version"),
            std::string::npos);
  RunProgram({"dragoman", "info", "--server", address, "--ca", folder + "/ca"}, "", 4);

  ChildOptions live;
  live.arguments = {absl::StrCat(kBuild, "/bin/dragoman"),
                    "translate",
                    "-s",
                    "en",
                    "-t",
                    "de",
                    "--server",
                    address,
                    "--ca",
                    folder + "/ca",
                    "--token-file",
                    folder + "/token",
                    "-"};
  ChildProcess client(live);
  client.WriteInput("Good morning. ");
  ASSERT_TRUE(client.WaitForOutput("\n")) << client.error();
  write("clients", "# nobody\n");
  const auto begin = std::chrono::steady_clock::now();
  ASSERT_TRUE(client.WaitForError("TOKEN_REVOKED")) << client.error();
  EXPECT_LE(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10));
  EXPECT_EQ(client.Wait(), 4);
  std::filesystem::remove_all(folder);
}

// Peak memory of a process in KiB.
int64_t PeakMemory(pid_t pid) {
  std::ifstream status(absl::StrCat("/proc/", pid, "/status"));
  std::string line;
  int64_t peak = 0;
  while (std::getline(status, line)) {
    if (line.rfind("VmHWM:", 0) == 0) peak = std::atoll(line.c_str() + 6);
  }
  return peak;
}

TEST(FloodTest, R39_AFloodOfTenTimesTheSlotsStaysNearTheSteadyState) {
  const std::string folder = absl::StrCat(::testing::TempDir(), "/flood_", getpid());
  std::filesystem::create_directories(folder);
  ChildOptions options;
  // The log goes to a file: nobody would read a pipe during the flood.
  options.arguments = {"/bin/sh", "-c",
                       absl::StrCat("exec ", kBuild, "/bin/dragoman-server --model ", kModel,
                                    " --insecure --listen 127.0.0.1:0 --admin-listen off"
                                    " --slots 16 --queue-depth 16 --drain-grace-seconds 0"
                                    " --max-concurrent-streams 512 --port-file ",
                                    folder, "/ports 2>", folder, "/log")};
  ChildProcess server(options);
  const auto logged = [&](const char* text) {
    const absl::StatusOr<std::string> log = ReadFile(folder + "/log");
    return log.ok() && log->find(text) != std::string::npos;
  };
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!logged("\"model_ready\"") && std::chrono::steady_clock::now() < give_up) {
    std::this_thread::yield();
  }
  const absl::StatusOr<Json> ports = ReadJsonFile(folder + "/ports");
  ASSERT_TRUE(ports.ok()) << ports.status();
  const std::string address = absl::StrCat("127.0.0.1:", (*ports)["grpc"].get<int>());
  const auto bench = [&](const char* streams) {
    ChildOptions load;
    load.arguments = {absl::StrCat(kBuild, "/bin/dragoman"),
                      "bench",
                      "-s",
                      "en",
                      "-t",
                      "de",
                      "--insecure",
                      "--server",
                      address,
                      "--streams",
                      streams,
                      "--arrival",
                      "burst",
                      "--duration",
                      "2",
                      "--rate",
                      "6",
                      std::string(DRAGOMAN_SOURCE_DIR) + "/tests/bench/talk.txt"};
    ChildProcess child(load);
    return child.Wait();
  };
  EXPECT_EQ(bench("16"), 0);
  const int64_t steady = PeakMemory(server.pid());
  bench("160");  // some come through when they try again
  EXPECT_TRUE(logged("NO_CAPACITY"));
  const int64_t flooded = PeakMemory(server.pid());
  EXPECT_GT(steady, 10000);
  EXPECT_LE(flooded, steady + steady / 5) << "KiB, steady " << steady;
  EXPECT_EQ(bench("16"), 0);
  std::filesystem::remove_all(folder);
}

TEST(EvaluatorTest, ScoreAgreesWithItselfAndNamesMissingFiles) {
  const std::string folder = absl::StrCat(::testing::TempDir(), "/score_", getpid());
  std::filesystem::create_directories(folder);
  ASSERT_TRUE(WriteFileAtomically(folder + "/a", "The cat sat on the mat today.\n").ok());
  const std::string output = RunProgram({"dragoman-model", "score", "--hypothesis", folder + "/a",
                                         "--reference", folder + "/a", "--json"},
                                        "");
  const absl::StatusOr<Json> scores = ParseJson(output);
  ASSERT_TRUE(scores.ok()) << output;
  EXPECT_NEAR((*scores)["bleu"].get<double>(), 100.0, 1e-9);
  EXPECT_NEAR((*scores)["chrf2"].get<double>(), 100.0, 1e-9);
  RunProgram({"dragoman-model", "score", "--hypothesis", folder + "/missing", "--reference",
              folder + "/a"},
             "", /*expected_exit=*/1);
  RunProgram({"dragoman-model", "score"}, "", /*expected_exit=*/2);
  std::filesystem::remove_all(folder);
}

TEST(EvaluatorTest, PacedLagIsLagInWordsAndTheTimeOfTheSteps) {
  const std::string folder = absl::StrCat(::testing::TempDir(), "/paced_", getpid());
  std::filesystem::create_directories(folder);
  ASSERT_TRUE(WriteFileAtomically(folder + "/a", absl::StrJoin(Sentences(), "\n") + "\n").ok());
  const auto evaluate = [&](std::vector<std::string> more) {
    std::vector<std::string> arguments = {
        "dragoman-model", "evaluate",    "--model",     kModel,     "--source",
        folder + "/a",    "--reference", folder + "/a", "--target", "de",
        "--threads",      "1",           "--json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return ParseJson(RunProgram(arguments, "")).value_or(Json());
  };

  const Json plain = evaluate({});
  const Json paced = evaluate({"--pace", "0.35", "--speakers", "4"});

  EXPECT_FALSE(plain.contains("laal_ca"));
  EXPECT_EQ(paced["bleu"], plain["bleu"]);
  EXPECT_EQ(paced["laal"], plain["laal"]);
  EXPECT_GT(paced["laal_ca"].get<double>(), 0.35 * paced["laal"].get<double>());
  EXPECT_GT(paced["emission_latency"]["p99"].get<double>(), 0);
  EXPECT_EQ(paced["speakers"], 4);
  std::filesystem::remove_all(folder);
}

TEST(BenchTest, AWordMoreCostsRowsByTheWayItIsRead) {
  const std::string picture = absl::StrCat(::testing::TempDir(), "/bench_read_", getpid(), ".svg");
  const Json json =
      ParseJson(RunProgram({"dragoman-model", "bench-read", "--shape", "15m", "--words", "5", "20",
                            "--rounds", "1", "--json", "--svg", picture},
                           ""))
          .value_or(Json());

  ASSERT_EQ(json["rows"].size(), 2u);
  const Json& early = json["rows"][0];  // 7 tokens a side, one more word is one token
  const Json& late = json["rows"][1];   // 28
  EXPECT_EQ(early["group"]["rows"], 2);
  EXPECT_EQ(late["group"]["rows"], 2);
  EXPECT_EQ(early["bs_full"]["rows"], 8 + 7 + 1);
  EXPECT_EQ(late["bs_full"]["rows"], 29 + 28 + 1);
  EXPECT_EQ(late["all_anew"]["rows"], 29 + 29);
  EXPECT_GT(late["group"]["ms"].get<double>(), 0);
  EXPECT_NE(ReadFile(picture).value_or("").find("bs_full"), std::string::npos);
  std::filesystem::remove(picture);
}

}  // namespace
}  // namespace dragoman
