#include "client/cli/bench_flags.h"

#include <string>

#include "client/cli/translate_options.h"

namespace dragoman::client {
namespace {

constexpr char kFooter[] =
    "Examples:\n"
    "  dragoman bench -s en -t de --insecure --streams 64 --rate 3 --duration 60 talk.txt\n"
    "  dragoman bench -s en -t de --insecure --streams 200 --slo lag=1s,first=3s --json talk.txt\n"
    "  dragoman bench -s en -t de --insecure --streams 64 --arrival poisson \\\n"
    "    --chaos cancel=.1,slow=.05 --metrics http://127.0.0.1:9464/metrics talk.txt\n"
    "  dragoman bench -s en -t de --insecure --streams 16 --find-slots --slo lag=1s \\\n"
    "    --out report.json talk.txt\n"
    "\n"
    "Sessions of --chaos are counted apart: lag, first text and --slo are those of the others, and "
    "a\n"
    "session that was cancelled on purpose is no failure.\n"
    "--metrics can only hold while bench is the only client of the server: with others it reports "
    "a\n"
    "mismatch that is none. It refuses to begin (exit 2) when the server is not at rest.\n"
    "More streams than --max-concurrent-streams of the server wait inside the one connection.\n"
    "\n"
    "Exit: 0 all sessions ended well, 7 slower than --slo (--find-slots: not even one stream meets "
    "it),\n"
    "      2 usage, 3 no server or no metrics, 70 broken contract or counters that do not agree, "
    "else\n"
    "      the code that translate gives for the end of the first session that failed.\n"
    "      --find-slots: 1 when the load generator was too late in every trial; failed sessions "
    "only\n"
    "      end a trial, unless fewer streams would not help.";

void AddSessionFlags(CLI::App* command, BenchOptions* options) {
  command->add_option("-s,--source", options->source_language, "Source language, BCP 47")
      ->required();
  command->add_option("-t,--target", options->target_language, "Target language, BCP 47")
      ->required();
  command->add_option("--policy", options->policy,
                      std::string(kPolicies) + "; default: the model's");
  command->add_option("--model", options->model, "Model by name; default: that of the server");
  command->add_option("--theta", options->theta, "Skip dial, 0 to 1; default: dense");
  command->add_flag("--word-stamps", options->word_stamps,
                    "Ask for word stamps and report AL/LAAL in source words");
  command->add_flag("--unstable-tail", options->unstable_tail,
                    "Ask for the unstable tail and report flicker: withdrawn over final bytes");
}

void AddLoadFlags(CLI::App* command, BenchOptions* options) {
  command->add_option("--streams", options->streams, "Sessions at the same time")
      ->capture_default_str();
  command->add_option("--rate", options->rate, "Source words per second of each session")
      ->capture_default_str();
  command->add_option("--duration", options->duration_seconds, "Seconds of speaking")
      ->capture_default_str();
  command
      ->add_option("--arrival", options->arrival,
                   "When sessions start: spread (first words over the time of one word), poisson "
                   "(random gaps), burst (all at once)")
      ->capture_default_str();
  command->add_option("--ramp", options->ramp_seconds,
                      "Seconds in which all sessions of --arrival poisson have started; default: a "
                      "third of --duration, at most 10");
  command->add_option("--chaos", options->chaos,
                      "Shares of sessions that cancel in the middle or read slowly, such as "
                      "cancel=.1,slow=.05");
  command
      ->add_option("--seed", options->seed,
                   "Where in the text each session starts, when, and which are of --chaos")
      ->capture_default_str();
}

void AddResultFlags(CLI::App* command, BenchOptions* options) {
  command->add_option("--slo", options->slo,
                      "Limits on 99th percentiles, such as lag=1s,first=3s; exit 7 when missed");
  command->add_flag("--find-slots", options->find_slots,
                    "Search the most streams that meet --slo: doubles from --streams, then halves "
                    "the interval down to 5 %; each trial runs for --duration");
  command->add_option("--max-streams", options->max_streams,
                      "Where --find-slots ends at the latest; default 1024");
  command->add_option("--metrics", options->metrics,
                      "Check the counters of the server on this machine against what happened, "
                      "such as http://127.0.0.1:9464/metrics; exit 70 when they do not agree. No "
                      "other client may use the server");
  command->add_flag("--json", options->json, "The report as one JSON object");
  command->add_option("--out", options->out, "Also write the report as JSON to this file");
  command->add_option("file", options->file, "Text to speak, a plain file")->required();
}

}  // namespace

void AddBenchFlags(CLI::App* command, BenchOptions* options) {
  AddSessionFlags(command, options);
  AddLoadFlags(command, options);
  AddResultFlags(command, options);
  command->footer(kFooter);
}

}  // namespace dragoman::client
