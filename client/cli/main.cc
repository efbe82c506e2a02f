// dragoman: translate text as it comes, ask a server what it can do, and put it under load.
#include <csignal>
#include <optional>
#include <string>

#include "CLI/CLI.hpp"
#include "absl/strings/str_cat.h"
#include "client/cli/bench_command.h"
#include "client/cli/bench_flags.h"
#include "client/cli/exit_code.h"
#include "client/cli/question_command.h"
#include "client/cli/translate_command.h"

namespace dragoman::client {
namespace {

constexpr char kTranslateExamples[] =
    "Examples:\n"
    "  echo \"The cats are sleeping.\" | dragoman translate -s en -t de --insecure\n"
    "  dragoman translate -s en -t fr --insecure --policy wait-k:5 --rate 3 --stamps talk.txt\n"
    "  dragoman translate -s en -t es --insecure --jsonl talk.txt | jq .segmentFinal.text\n"
    "\n"
    "Ctrl-C once ends the source and waits for the rest; twice cancels.\n"
    "Exit: 0 all translated, 1 ended early (valid up to the last final), 2 usage, 3 cannot "
    "connect,\n"
    "      4 credentials, 5 refused, 6 no capacity or quota, 70 broken contract, 130 cancelled.";
constexpr char kListExamples[] =
    "Examples:\n"
    "  dragoman list-models --insecure\n"
    "  dragoman list-models --insecure --server translate.example.org:8443 --json";
constexpr char kInfoExamples[] =
    "Examples:\n"
    "  dragoman info --insecure\n"
    "  DRAGOMAN_SERVER=127.0.0.1:8443 dragoman info --insecure --json";

void AddChannelFlags(CLI::App* command, ChannelOptions* channel) {
  command->add_option("--server", channel->server, "Server, host:port")
      ->envname("DRAGOMAN_SERVER")
      ->capture_default_str();
  command->add_flag("--insecure", channel->insecure, "Plain text, no transport security");
  command->add_option("--token-file", channel->token_file, "File with the bearer token");
  command->add_option("--ca", channel->ca_file, "Authorities (PEM); default: those of the system");
  command->add_option("--cert", channel->cert_file, "Certificate of this client (PEM)");
  command->add_option("--key", channel->key_file, "Private key of --cert (PEM)");
}

void AddTranslateFlags(CLI::App* command, TranslateOptions* options) {
  command->add_option("-s,--source", options->source_language, "Source language, BCP 47")
      ->required();
  command->add_option("-t,--target", options->target_language, "Target language, BCP 47")
      ->required();
  AddChannelFlags(command, &options->channel);
  command->add_option("--policy", options->policy,
                      absl::StrCat("When to write: ", kPolicies, "; default: that of the model"));
  command->add_option("--max-lag-words", options->max_lag_words,
                      "Write rather than stay more than this many words behind; 0: no bound");
  command->add_option("--model", options->model, "Model by name; default: that of the server");
  command->add_option(
      "--theta", options->theta,
      "Skip dial: 0 runs every module, 1 skips as much as the model was trained for");
  command->add_option("--rate", options->rate, "Pace the source: words per second");
  command
      ->add_option("--segment", options->segment,
                   "auto (punctuation, length) or client (each line is a segment)")
      ->capture_default_str();
  command->add_flag("--lines", options->lines,
                    "A line end also ends a segment (on when the source is typed)");
  // Not one flag for both: CLI11 would turn "not said" into "no".
  command->add_flag_callback(
      "--reconnect", [options] { options->reconnect = true; },
      "Go on in a new session when one breaks (default for standard input)");
  command->add_flag_callback(
      "--no-reconnect", [options] { options->reconnect = false; },
      "End with the session (default for files)");
  command->add_option("--label", options->label, "Label of the session in the server's logs");
  command->add_flag("--jsonl", options->jsonl, "Each event as JSON, one a line, nothing else");
  command->add_flag("--stamps", options->stamps,
                    "When each source word was read and each target word written");
  command->add_flag("--stats", options->stats, "Totals of the session on standard error");
  command->add_option("file", options->file, "Source text, - for standard input")
      ->capture_default_str();
  command->footer(kTranslateExamples);
}

ExitCode Run(int argc, char** argv) {
  CLI::App app("Dragoman translates text while it is still coming in.", "dragoman");
  app.set_version_flag("--version", std::string("dragoman " DRAGOMAN_VERSION));
  app.require_subcommand(1);
  app.footer("dragoman COMMAND --help shows the flags of a command, with examples.");

  TranslateOptions translate;
  CLI::App* translate_command = app.add_subcommand("translate", "Translate a stream of text");
  AddTranslateFlags(translate_command, &translate);

  BenchOptions bench;
  CLI::App* bench_command =
      app.add_subcommand("bench", "Load a server with sessions at speaking pace");
  AddChannelFlags(bench_command, &bench.channel);
  AddBenchFlags(bench_command, &bench);

  QuestionOptions question;
  CLI::App* list_command = app.add_subcommand("list-models", "Show the models of a server");
  CLI::App* info_command = app.add_subcommand("info", "Show build and state of a server");
  list_command->footer(kListExamples);
  info_command->footer(kInfoExamples);
  for (CLI::App* command : {list_command, info_command}) {
    AddChannelFlags(command, &question.channel);
    command->add_flag("--json", question.json, "The answer as one line of JSON");
  }

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    // --help and --version come this way too, with code 0.
    return app.exit(error) == 0 ? ExitCode::kDone : ExitCode::kUsage;
  }
  if (translate_command->parsed()) return RunTranslate(translate);
  if (bench_command->parsed()) return RunBench(bench);
  if (list_command->parsed()) return RunListModels(question);
  return RunInfo(question);
}

}  // namespace
}  // namespace dragoman::client

int main(int argc, char** argv) {
  // A closed pipe is an ordinary error of write().
  std::signal(SIGPIPE, SIG_IGN);
  return static_cast<int>(dragoman::client::Run(argc, argv));
}
