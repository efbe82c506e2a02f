#include "client/cli/bench_command.h"

#include <unistd.h>

#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/status_macros.h"
#include "client/api/interpreter_client.h"
#include "client/cli/diagnostics.h"
#include "client/cli/session_display.h"
#include "client/cli/translate_options.h"

namespace dragoman::client {
namespace {

// "250ms" or "1.5s".
bool ParseSeconds(const std::string& text, double* seconds) {
  double scale = 1.0;
  size_t unit = 1;
  if (absl::EndsWith(text, "ms")) {
    scale = 1e-3;
    unit = 2;
  } else if (!absl::EndsWith(text, "s")) {
    return false;
  }
  return absl::SimpleAtod(text.substr(0, text.size() - unit), seconds) &&
         (*seconds *= scale) > 0.0 && *seconds < 1e6;
}

absl::StatusOr<LoadOptions> MakeLoadOptions(const BenchOptions& options) {
  LoadOptions load;
  load.streams = options.streams;
  load.words_per_second = options.rate;
  if (!(options.duration_seconds > 0.0 && options.duration_seconds <= 86400.0)) {
    return absl::InvalidArgumentError("--duration must be above 0 and at most 86400 seconds");
  }
  load.duration = std::chrono::milliseconds(static_cast<int64_t>(options.duration_seconds * 1e3));
  load.seed = options.seed;
  load.config.set_model(options.model);
  load.config.set_source_language(options.source_language);
  load.config.add_target_languages(options.target_language);
  load.config.mutable_text_input();
  load.config.set_session_label("bench");
  DRAGOMAN_RETURN_IF_ERROR(SetPolicy(options.policy, &load.config));
  DRAGOMAN_ASSIGN_OR_RETURN(const std::string text, ReadFile(options.file));
  load.words = absl::StrSplit(text, absl::ByAnyChar(" \t\r\n"), absl::SkipEmpty());
  DRAGOMAN_RETURN_IF_ERROR(load.Validate());
  return load;
}

Json ToJson(const LoadDistribution& values) {
  return {{"count", values.count},
          {"p50", values.median},
          {"p90", values.p90},
          {"p99", values.p99},
          {"max", values.max}};
}

std::string ReportJson(const LoadReport& report) {
  const Json json = {{"streams", report.streams},
                     {"completed", report.completed},
                     {"refused", report.refused},
                     {"failed", report.failed},
                     {"broken_invariants", report.broken_invariants},
                     {"errors", report.errors},
                     {"messages_sent", report.messages_sent},
                     {"events_received", report.events_received},
                     {"source_words", report.source_words},
                     {"target_words", report.target_words},
                     {"seconds", report.seconds},
                     {"lag_seconds", ToJson(report.lag_seconds)},
                     {"first_text_seconds", ToJson(report.first_text_seconds)},
                     {"late_seconds", ToJson(report.late_seconds)}};
  return DumpJson(json, 2) + "\n";
}

std::string Row(const char* name, const LoadDistribution& values) {
  return absl::StrFormat("%-24s %9.3f %9.3f %9.3f %9.3f  (%d)\n", name, values.median, values.p90,
                         values.p99, values.max, values.count);
}

std::string ReportText(const LoadReport& report) {
  std::string text = absl::StrFormat(
      "sessions: %d completed, %d refused, %d failed, %d with a broken promise\n"
      "source: %d words in %d messages; target: %d words in %d events; %.1f s\n"
      "%-24s %9s %9s %9s %9s\n",
      report.completed, report.refused, report.failed, report.broken_invariants,
      report.source_words, report.messages_sent, report.target_words, report.events_received,
      report.seconds, "seconds", "p50", "p90", "p99", "max");
  text += Row("lag of text", report.lag_seconds);
  text += Row("first text", report.first_text_seconds);
  text += Row("word sent too late", report.late_seconds);
  return text;
}

}  // namespace

bool Slo::Holds(const LoadReport& report) const {
  return (!lag_seconds || report.lag_seconds.p99 <= *lag_seconds) &&
         (!first_text_seconds || report.first_text_seconds.p99 <= *first_text_seconds);
}

absl::StatusOr<Slo> ParseSlo(const std::string& text) {
  Slo slo;
  const std::vector<std::string> parts = absl::StrSplit(text, ',', absl::SkipEmpty());
  for (const std::string& part : parts) {
    const std::pair<std::string, std::string> field = absl::StrSplit(part, absl::MaxSplits('=', 1));
    double seconds = 0.0;
    if (!ParseSeconds(field.second, &seconds) || (field.first != "lag" && field.first != "first")) {
      return absl::InvalidArgumentError(
          absl::StrCat("--slo '", part, "' is not such as lag=1s or first=800ms"));
    }
    (field.first == "lag" ? slo.lag_seconds : slo.first_text_seconds) = seconds;
  }
  return slo;
}

ExitCode RunBench(const BenchOptions& options) {
  SystemClock clock;
  const absl::StatusOr<Slo> slo = ParseSlo(options.slo);
  const absl::StatusOr<LoadOptions> load = MakeLoadOptions(options);
  auto client = InterpreterClient::Create(options.channel, RetryOptions{}, &clock, options.seed);
  for (const absl::Status& status : {slo.status(), load.status(), client.status()}) {
    if (status.ok()) continue;
    PrintDiagnostic(std::string(status.message()));
    return ExitCode::kUsage;
  }
  const absl::StatusOr<LoadReport> report = RunLoad(client->get(), *load, &clock);
  if (!report.ok()) {
    PrintDiagnostic(std::string(report.status().message()));
    return ExitCode::kUsage;
  }
  const std::string text = options.json ? ReportJson(*report) : ReportText(*report);
  if (!WriteFully(STDOUT_FILENO, text)) return ExitCode::kEndedEarly;
  for (const std::string& error : report->errors) PrintDiagnostic(error);
  if (report->broken_invariants > 0) return ExitCode::kBrokenInvariant;
  if (report->first_failure) return ExitCodeForEnd(*report->first_failure);
  return slo->Holds(*report) ? ExitCode::kDone : ExitCode::kSloMissed;
}

}  // namespace dragoman::client
