// The real program as a child process against a scripted server: V15.
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/json.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/child_process.h"
#include "tests/support/scripted_interpreter.h"

namespace dragoman::client {
namespace {

using testing::ChildOptions;
using testing::ChildProcess;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::Refusal;
using testing::ScriptedInterpreter;
using testing::ScriptedSession;
using testing::ServerStream;
using testing::UpperCaseSession;

using Arguments = std::vector<std::string>;

const char kProgram[] = DRAGOMAN_BUILD_DIR "/bin/dragoman";

ChildOptions Command(const std::string& command, const std::string& server, Arguments more = {}) {
  ChildOptions options;
  options.arguments = {kProgram, command, "--insecure", "--server", server};
  options.arguments.insert(options.arguments.end(), more.begin(), more.end());
  return options;
}

ChildOptions Translate(const std::string& server, Arguments more = {}) {
  more.insert(more.begin(), {"-s", "en", "-t", "de"});
  return Command("translate", server, more);
}

struct Result {
  int code;
  std::string output;
  std::string error;
};

Result RunToEnd(const ChildOptions& options, const std::string& input = "") {
  ChildProcess child(options);
  child.WriteInput(input);
  const int code = child.Wait();
  return {code, child.output(), child.error()};
}

// A stream that is refused at once.
ScriptedInterpreter::Script Refuse(grpc::Status status) {
  return [status](grpc::ServerContext*, ServerStream*) { return status; };
}

std::vector<Json> ParseLines(const std::string& output) {
  std::vector<Json> events;
  EXPECT_TRUE(output.empty() || output.back() == '\n') << output;
  for (size_t begin = 0; begin < output.size();) {
    const size_t end = output.find('\n', begin);
    const auto json = ParseJson(std::string_view(output).substr(begin, end - begin));
    EXPECT_TRUE(json.ok()) << json.status() << ": " << output.substr(begin, end - begin);
    if (json.ok()) events.push_back(*json);
    begin = end + 1;
  }
  return events;
}

TEST(CliProcessTest, V15_Exit0_TranslatesStandardInput) {
  ScriptedInterpreter server(UpperCaseSession);

  const Result result = RunToEnd(Translate(server.address()), "The cats sleep. And we\n");

  EXPECT_EQ(result.code, 0) << result.error;
  EXPECT_EQ(result.output, "THE CATS SLEEP.\nAND WE\n");
  EXPECT_EQ(result.error, "");
}

TEST(CliProcessTest, V15_Exit0_TranslatesAFile) {
  ScriptedInterpreter server(UpperCaseSession);
  const std::string path = ::testing::TempDir() + "cli_process_test_source.txt";
  std::ofstream(path) << "One two.\nThree\n";

  const Result result =
      RunToEnd(Translate(server.address(), {"--policy", "wait-k:3", "--label", "a.b-c", path}));

  EXPECT_EQ(result.code, 0) << result.error;
  EXPECT_EQ(result.output, "ONE TWO.\nTHREE\n");
}

TEST(CliProcessTest, V15_Exit0_HelpOfEachCommandHasExamples) {
  for (const char* command : {"translate", "bench", "list-models", "info"}) {
    ChildOptions options;
    options.arguments = {kProgram, command, "--help"};
    const Result result = RunToEnd(options);
    EXPECT_EQ(result.code, 0) << command;
    EXPECT_THAT(result.output, HasSubstr("Examples:\n  ")) << command;
  }
  ChildOptions version;
  version.arguments = {kProgram, "--version"};
  EXPECT_THAT(RunToEnd(version).output, HasSubstr("dragoman "));
}

TEST(CliProcessTest, V15_Exit1_TheServerEndsTheSessionEarly) {
  ScriptedInterpreter server([](grpc::ServerContext* context, ServerStream* stream) {
    ScriptedSession session(context, stream);
    session.ReadConfig();
    session.SendStarted();
    v1::StreamRequest request;
    session.Read(&request);
    session.SendStable("DIE");
    session.SendFinal(v1::FINAL_SESSION_END);
    session.SendEnded(v1::END_DRAIN);
    return Refusal(grpc::StatusCode::UNAVAILABLE, "DRAINING", {{"seconds_left", "0"}}, 10);
  });

  const Result result = RunToEnd(Translate(server.address()), "The cats");

  EXPECT_EQ(result.code, 1);
  EXPECT_EQ(result.output, "DIE\n");
  EXPECT_THAT(result.error, HasSubstr("DRAINING"));
}

TEST(CliProcessTest, V15_Exit1_NobodyReadsTheOutput) {
  ScriptedInterpreter server(UpperCaseSession);
  ChildProcess child(Translate(server.address(), {"--jsonl"}));
  ASSERT_TRUE(child.WaitForOutput("sessionId"));

  child.CloseOutput();
  child.WriteInput("The cats sleep. ");

  EXPECT_EQ(child.Wait(), 1);
}

TEST(CliProcessTest, V15_Exit2_Usage) {
  const std::vector<Arguments> bad = {
      {},
      {"sing"},
      {"translate"},
      {"translate", "-s", "en", "--insecure"},
      {"translate", "-s", "en", "-t", "de", "--insecure", "--policy", "wait-k:0"},
      {"translate", "-s", "en", "-t", "de", "--insecure", "--policy", "magic"},
      {"translate", "-s", "en", "-t", "de", "--insecure", "--rate", "0"},
      {"translate", "-s", "en", "-t", "de", "--insecure", "--rate", "fast"},
      {"translate", "-s", "en", "-t", "de", "--insecure", "--segment", "never"},
      {"translate", "-s", "en", "-t", "de", "--insecure", "--jsonl", "--stamps"},
      {"translate", "-s", "en", "-t", "de", "--insecure", "--unknown-flag"},
      {"translate", "-s", "en", "-t", "de", "--insecure", "/nowhere/at/all.txt"},
      {"translate", "-s", "en", "-t", "de", "--insecure", "/"},
      {"translate", "-s", "en", "-t", "de", "--insecure", "--ca", "ca.pem"},
      {"translate", "-s", "en", "-t", "de", "--ca", "/nowhere/at/all.pem"},
      {"translate", "-s", "en", "-t", "de", "--insecure", "--token-file", "/nowhere/at/all"},
      {"translate", "-s", "en", "-t", "de", "--insecure", "--server", "no-port"},
      {"info", "--insecure", "--server", "host:99999"},
      {"list-models", "--cert", "cert.pem"},
  };
  for (const Arguments& arguments : bad) {
    ChildOptions options;
    options.arguments = {kProgram};
    options.arguments.insert(options.arguments.end(), arguments.begin(), arguments.end());
    const Result result = RunToEnd(options);
    EXPECT_EQ(result.code, 2) << ::testing::PrintToString(arguments);
    EXPECT_EQ(result.output, "") << ::testing::PrintToString(arguments);
    EXPECT_NE(result.error, "") << ::testing::PrintToString(arguments);
  }
}

TEST(CliProcessTest, V15_Exit3_CannotConnect) {
  const std::string address = testing::UnusedAddress();

  const Result result = RunToEnd(Translate(address), "The cats");

  EXPECT_EQ(result.code, 3);
  EXPECT_EQ(result.output, "");
  EXPECT_THAT(result.error, HasSubstr("cannot connect to " + address));
  EXPECT_EQ(RunToEnd(Command("info", address)).code, 3);
  EXPECT_EQ(RunToEnd(Command("list-models", address)).code, 3);
}

TEST(CliProcessTest, V15_Exit4_Credentials) {
  ScriptedInterpreter server(Refuse(Refusal(grpc::StatusCode::UNAUTHENTICATED, "TOKEN_MISSING")));
  server.unary_status =
      Refusal(grpc::StatusCode::PERMISSION_DENIED, "ROLE_MISSING", {{"role", "translate"}});

  const Result result = RunToEnd(Translate(server.address()), "The cats");

  EXPECT_EQ(result.code, 4);
  EXPECT_THAT(result.error, HasSubstr("TOKEN_MISSING"));
  EXPECT_EQ(RunToEnd(Command("list-models", server.address())).code, 4);
}

TEST(CliProcessTest, V15_Exit5_Refused) {
  ScriptedInterpreter server(
      Refuse(Refusal(grpc::StatusCode::INVALID_ARGUMENT, "LANGUAGE_PAIR_UNSUPPORTED",
                     {{"source", "en"}, {"target", "tlh"}})));

  const Result result = RunToEnd(Translate(server.address()), "The cats");

  EXPECT_EQ(result.code, 5);
  EXPECT_THAT(result.error, HasSubstr("LANGUAGE_PAIR_UNSUPPORTED"));
  EXPECT_THAT(result.error, HasSubstr("target=tlh"));
}

TEST(CliProcessTest, V15_Exit6_NoCapacity) {
  std::atomic<int> calls{0};
  ScriptedInterpreter server([&](grpc::ServerContext* context, ServerStream*) {
    ++calls;
    context->AddTrailingMetadata("grpc-retry-pushback-ms", "1");
    return Refusal(grpc::StatusCode::UNAVAILABLE, "NO_CAPACITY", {{"slots", "1"}}, 1);
  });

  const Result result = RunToEnd(Translate(server.address()), "The cats");

  EXPECT_EQ(result.code, 6);
  EXPECT_EQ(calls, 5);
  EXPECT_THAT(result.error, HasSubstr("NO_CAPACITY"));
}

TEST(CliProcessTest, V15_Exit70_TheServerBreaksAPromise) {
  using Break = std::function<void(ScriptedSession*)>;
  const std::vector<std::pair<std::string, Break>> breaks = {
      {"invariant 1", [](ScriptedSession* session) { session->next_seq += 1; }},
      {"invariant 2",
       [](ScriptedSession* session) {
         session->SendStable("DIE");
         v1::StreamEvent final = session->MakeFinal(v1::FINAL_HALF_CLOSE);
         final.mutable_segment_final()->set_text("DAS");
         session->Send(final);
       }},
      {"invariant 3", [](ScriptedSession* session) { session->SendStable("DIE"); }},
      {"invariant 5",
       [](ScriptedSession* session) {
         v1::StreamEvent ended = session->MakeEnded(v1::END_COMPLETE);
         ended.mutable_ended()->mutable_usage()->set_segments(9);
         session->Send(ended);
       }},
  };
  for (const auto& [name, breaks_it] : breaks) {
    ScriptedInterpreter server(
        [&, breaks_it = breaks_it](grpc::ServerContext* context, ServerStream* stream) {
          ScriptedSession session(context, stream);
          session.ReadConfig();
          session.SendStarted();
          v1::StreamRequest request;
          while (session.Read(&request)) {
          }
          breaks_it(&session);
          session.SendEnded(v1::END_COMPLETE);
          return grpc::Status::OK;
        });
    const Result result = RunToEnd(Translate(server.address()), "");
    EXPECT_EQ(result.code, 70) << name;
    EXPECT_THAT(result.error, HasSubstr(name));
  }
}

TEST(CliProcessTest, V15_Exit0_FirstInterruptWaitsForTheFinals) {
  ScriptedInterpreter server(UpperCaseSession);
  ChildProcess child(Translate(server.address(), {"--jsonl"}));
  child.WriteInput("The cats ");
  ASSERT_TRUE(child.WaitForOutput("CATS"));

  child.Signal(SIGINT);  // the input stays open

  ASSERT_TRUE(child.WaitForOutput("END_COMPLETE"));
  EXPECT_EQ(child.Wait(), 0);
  EXPECT_THAT(child.error(), HasSubstr("Ctrl-C again cancels"));
}

TEST(CliProcessTest, V15_Exit130_SecondInterruptCancels) {
  std::promise<bool> cancelled;
  ScriptedInterpreter server([&](grpc::ServerContext* context, ServerStream* stream) {
    ScriptedSession session(context, stream);
    session.ReadConfig();
    session.SendStarted();
    v1::StreamRequest request;
    while (session.Read(&request)) {
    }
    session.SendStable("HALFCLOSED");  // the first Ctrl-C arrived; never finish from here
    // Writes fail once the client is gone. Each one waits for room, so this does not spin.
    while (!context->IsCancelled()) session.SendStable(std::string(4096, 'x'));
    cancelled.set_value(true);
    return grpc::Status::CANCELLED;
  });
  ChildProcess child(Translate(server.address(), {"--jsonl"}));
  ASSERT_TRUE(child.WaitForOutput("sessionId"));

  child.Signal(SIGINT);
  ASSERT_TRUE(child.WaitForOutput("HALFCLOSED"));
  child.Signal(SIGINT);

  EXPECT_EQ(child.Wait(), 130);
  EXPECT_TRUE(cancelled.get_future().get());
  EXPECT_THAT(child.error(), HasSubstr("cancelled"));
}

TEST(CliProcessTest, V15_JsonLinesAreValidThroughout) {
  ScriptedInterpreter server(UpperCaseSession);
  std::string source;
  for (int i = 0; i < 100; ++i) source += "a \"quoted\" \\word \u20ac\u2028 <tag>.\n";

  const Result result =
      RunToEnd(Translate(server.address(), {"--jsonl", "--stats", "--segment", "client"}), source);

  EXPECT_EQ(result.code, 0) << result.error;
  const std::vector<Json> events = ParseLines(result.output);
  ASSERT_FALSE(events.empty());
  for (size_t i = 0; i < events.size(); ++i) EXPECT_EQ(events[i]["seq"], i + 1);
  EXPECT_TRUE(events.front().contains("started"));
  EXPECT_EQ(events.back()["ended"]["reason"], "END_COMPLETE");
  EXPECT_EQ(events.back()["ended"]["usage"]["segments"], 100);
  EXPECT_THAT(result.error, HasSubstr("stats: source_words=500"));
}

TEST(CliProcessTest, V15_JsonLinesStayValidWhenTheServerFails) {
  ScriptedInterpreter refusing(Refuse(Refusal(grpc::StatusCode::INVALID_ARGUMENT, "BAD_LABEL")));
  EXPECT_EQ(RunToEnd(Translate(refusing.address(), {"--jsonl"}), "x").output, "");

  ScriptedInterpreter breaking([](grpc::ServerContext* context, ServerStream* stream) {
    ScriptedSession session(context, stream);
    session.ReadConfig();
    session.SendStarted();
    return Refusal(grpc::StatusCode::INTERNAL, "COMPUTE_FAULT");
  });
  const Result result = RunToEnd(Translate(breaking.address(), {"--jsonl", "--no-reconnect"}), "x");
  EXPECT_EQ(result.code, 1);
  EXPECT_EQ(ParseLines(result.output).size(), 1u);
}

TEST(CliProcessTest, V15_NoEscapeByteInPipes) {
  ScriptedInterpreter server(UpperCaseSession);
  for (const char* flag : {"--stats", "--stamps", "--jsonl"}) {
    const Result result =
        RunToEnd(Translate(server.address(), {flag}), "The \x1b[31m cats \x1b]0;x\x07 sleep.\n");
    EXPECT_EQ(result.code, 0) << result.error;
    EXPECT_THAT(result.output + result.error, Not(HasSubstr("\x1b"))) << flag;
  }
  for (const char* command : {"list-models", "info"}) {
    const Result result = RunToEnd(Command(command, server.address()));
    EXPECT_EQ(result.code, 0) << result.error;
    EXPECT_THAT(result.output, Not(HasSubstr("\x1b"))) << command;
  }
}

TEST(CliProcessTest, V15_NoEscapeByteOnATerminalWithNoColor) {
  ScriptedInterpreter server(UpperCaseSession);
  ChildOptions options = Translate(server.address());
  options.terminal_output = true;
  options.environment["NO_COLOR"] = "1";

  const Result result = RunToEnd(options, "The cats sleep. Yes");

  EXPECT_EQ(result.code, 0) << result.error;
  EXPECT_EQ(result.output, "THE CATS SLEEP.\r\nYES\r\n");  // the terminal makes \n to \r\n
}

TEST(CliProcessTest, V15_NoEscapeByteOnADumbTerminal) {
  ScriptedInterpreter server(UpperCaseSession);
  ChildOptions options = Translate(server.address());
  options.terminal_output = true;
  options.environment["TERM"] = "dumb";

  EXPECT_EQ(RunToEnd(options, "Yes").output, "YES\r\n");
}

TEST(CliProcessTest, DrawsInPlaceOnATerminal) {
  ScriptedInterpreter server(UpperCaseSession);
  ChildOptions options = Translate(server.address());
  options.terminal_output = true;

  const Result result = RunToEnd(options, "The cats sleep.");

  EXPECT_EQ(result.code, 0) << result.error;
  EXPECT_THAT(result.output, HasSubstr("\x1b[J"));
  EXPECT_THAT(result.output, HasSubstr("en  The cats sleep.\r\nde  THE CATS SLEEP.\r\n"));
  EXPECT_THAT(result.output, HasSubstr("[lag "));
}

TEST(CliProcessTest, ATypedLineIsTranslatedBelowItself) {
  ScriptedInterpreter server(UpperCaseSession);
  ChildOptions options = Translate(server.address());
  options.terminal_output = true;
  options.terminal_input = true;
  ChildProcess child(options);

  child.WriteInput("The cats sleep.\n");
  ASSERT_TRUE(child.WaitForOutput("de  THE CATS SLEEP.\r\n"));
  child.WriteInput("\x04");  // end of file of a terminal

  EXPECT_EQ(child.Wait(), 0) << child.error();
  EXPECT_THAT(child.output(), Not(HasSubstr("en  The cats")));
}

TEST(CliProcessTest, EachReadGoesOutAsItComes) {
  ScriptedInterpreter server(UpperCaseSession);
  ChildProcess child(Translate(server.address(), {"--stamps"}));

  child.WriteInput("The ");
  ASSERT_TRUE(child.WaitForOutput("THE"));  // answered while the input is still open
  child.WriteInput("ca");
  child.WriteInput("ts ");
  ASSERT_TRUE(child.WaitForOutput("CATS"));
  child.WriteInput("sleep");

  EXPECT_EQ(child.Wait(), 0) << child.error();
  EXPECT_THAT(child.output(), HasSubstr("READ       2"));
  EXPECT_THAT(child.output(), HasSubstr("en: The cats sleep\n"));
  EXPECT_THAT(child.output(), HasSubstr("de: THE CATS SLEEP\n"));
}

TEST(CliProcessTest, ReadsComeBeforeTheWritesThatUseThem) {
  ScriptedInterpreter server(UpperCaseSession);

  const Result result = RunToEnd(Translate(server.address(), {"--stamps", "--rate", "50"}),
                                 "The cats sleep. And so do we.");

  EXPECT_EQ(result.code, 0) << result.error;
  size_t reads = 0;
  size_t writes = 0;
  for (size_t begin = 0; begin < result.output.size();) {
    const size_t end = result.output.find('\n', begin);
    const std::string line = result.output.substr(begin, end - begin);
    if (line.find("  READ ") != std::string::npos) ++reads;
    if (line.find("  WRITE ") != std::string::npos) ++writes;
    EXPECT_LE(writes, reads) << result.output;
    begin = end + 1;
  }
  EXPECT_EQ(reads, 7u);
  EXPECT_EQ(writes, 7u);
}

TEST(CliProcessTest, LinesAreSegmentsWhenTheClientCuts) {
  ScriptedInterpreter server(UpperCaseSession);

  const Result result =
      RunToEnd(Translate(server.address(), {"--segment", "client"}), "One. two\n\n  \nthree\nfour");

  EXPECT_EQ(result.code, 0) << result.error;
  EXPECT_EQ(result.output, "ONE. TWO\nTHREE\nFOUR\n");
}

TEST(CliProcessTest, TakesTheServerFromTheEnvironmentUnlessTheFlagSaysOtherwise) {
  ScriptedInterpreter server(UpperCaseSession);
  ChildOptions options;
  options.arguments = {kProgram, "info", "--insecure"};
  options.environment["DRAGOMAN_SERVER"] = server.address();
  EXPECT_THAT(RunToEnd(options).output, HasSubstr("instance: scripted"));

  options = Command("info", server.address());
  options.environment["DRAGOMAN_SERVER"] = testing::UnusedAddress();
  EXPECT_EQ(RunToEnd(options).code, 0);
}

TEST(CliProcessTest, ListsModelsForPeopleAndPrograms) {
  ScriptedInterpreter server(UpperCaseSession);

  const Result text = RunToEnd(Command("list-models", server.address()));
  const Result json = RunToEnd(Command("list-models", server.address(), {"--json"}));
  const Result info = RunToEnd(Command("info", server.address(), {"--json"}));

  EXPECT_THAT(text.output, HasSubstr("scripted  (default)"));
  EXPECT_THAT(text.output, HasSubstr("languages: en-de"));
  ASSERT_EQ(ParseLines(json.output).size(), 1u);
  EXPECT_EQ(ParseLines(json.output)[0]["models"][0]["ref"]["name"], "scripted");
  ASSERT_EQ(ParseLines(info.output).size(), 1u);
  EXPECT_EQ(ParseLines(info.output)[0]["instance"], "scripted");
}

TEST(CliProcessTest, V15_BenchReportsAsJsonAndKeepsItsExitCodes) {
  ScriptedInterpreter server(UpperCaseSession);
  const std::string text = absl::StrCat(::testing::TempDir(), "/bench_text_", getpid());
  ASSERT_TRUE(WriteFileAtomically(text, "one two. three\n").ok());
  const auto bench = [&](const std::string& address, std::vector<std::string> flags) {
    flags.insert(flags.end(), {"-s", "en", "-t", "de", "--streams", "4", "--rate", "100",
                               "--duration", "0.05", "--json", text});
    return RunToEnd(Command("bench", address, flags));
  };

  const Result good = bench(server.address(), {});
  const Result slow = bench(server.address(), {"--slo", "lag=0.0001ms"});
  const Result nobody = bench(testing::UnusedAddress(), {});
  const Result wrong = bench(server.address(), {"--slo", "lag=fast"});
  unlink(text.c_str());

  EXPECT_EQ(good.code, 0) << good.error;
  const auto report = ParseJson(good.output);
  ASSERT_TRUE(report.ok()) << report.status() << good.output;
  EXPECT_EQ((*report)["completed"], 4);
  EXPECT_EQ((*report)["source_words"], (*report)["target_words"]);
  EXPECT_EQ(slow.code, 7) << slow.error;
  EXPECT_EQ(nobody.code, 3) << nobody.error;
  EXPECT_EQ(wrong.code, 2);
}

TEST(CliProcessTest, KeepsALiveSourceAliveWithHeartbeats) {
  std::promise<void> heartbeat;
  std::atomic<bool> told{false};
  ScriptedInterpreter server([&](grpc::ServerContext* context, ServerStream* stream) {
    ScriptedSession session(context, stream);
    session.ReadConfig();
    v1::StreamEvent started;
    started.mutable_started()->set_session_id("1");
    started.mutable_started()->add_tracks()->set_id(1);
    started.mutable_started()->mutable_limits()->set_idle_seconds(1);
    session.Send(started);
    v1::StreamRequest request;
    while (session.Read(&request)) {
      if (request.has_heartbeat() && !told.exchange(true)) heartbeat.set_value();
    }
    session.SendEnded(v1::END_COMPLETE);
    return grpc::Status::OK;
  });
  ChildProcess child(Translate(server.address()));

  heartbeat.get_future().wait();

  EXPECT_EQ(child.Wait(), 0) << child.error();
}

}  // namespace
}  // namespace dragoman::client
