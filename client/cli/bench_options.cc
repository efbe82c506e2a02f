#include "client/cli/bench_options.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "client/cli/translate_options.h"

namespace dragoman::client {
namespace {

constexpr size_t kDefaultMaxStreams = 1024;

using Fields = std::vector<std::pair<std::string, std::string>>;

// "a=1,b=2" as pairs in order; a part without '=' has an empty value.
Fields SplitFields(const std::string& text) {
  Fields fields;
  const std::vector<std::string> parts = absl::StrSplit(text, ',', absl::SkipEmpty());
  for (const std::string& part : parts) {
    fields.push_back(absl::StrSplit(part, absl::MaxSplits('=', 1)));
  }
  return fields;
}

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

absl::StatusOr<std::chrono::milliseconds> Milliseconds(const char* flag, double seconds) {
  if (seconds > 0.0 && seconds <= 86400.0) {
    return std::chrono::milliseconds(static_cast<int64_t>(seconds * 1e3));
  }
  return absl::InvalidArgumentError(
      absl::StrCat(flag, " must be above 0 and at most 86400 seconds"));
}

absl::Status SetArrival(const BenchOptions& options, LoadOptions* load) {
  DRAGOMAN_ASSIGN_OR_RETURN(load->arrival, ParseArrival(options.arrival));
  if (!options.ramp_seconds) {
    load->ramp = std::clamp(load->duration / 3, std::chrono::milliseconds(1),
                            std::chrono::milliseconds(10000));
    return absl::OkStatus();
  }
  if (load->arrival != Arrival::kPoisson) {
    return absl::InvalidArgumentError("--ramp is for --arrival poisson alone");
  }
  DRAGOMAN_ASSIGN_OR_RETURN(load->ramp, Milliseconds("--ramp", *options.ramp_seconds));
  if (load->ramp > load->duration) {
    return absl::InvalidArgumentError("--ramp is longer than --duration");
  }
  return absl::OkStatus();
}

absl::StatusOr<LoadOptions> MakeLoadOptions(const BenchOptions& options) {
  LoadOptions load;
  load.streams = options.streams;
  load.words_per_second = options.rate;
  DRAGOMAN_ASSIGN_OR_RETURN(load.duration, Milliseconds("--duration", options.duration_seconds));
  DRAGOMAN_RETURN_IF_ERROR(SetArrival(options, &load));
  DRAGOMAN_ASSIGN_OR_RETURN(load.chaos, ParseChaos(options.chaos));
  load.seed = options.seed;
  load.config.set_model(options.model);
  load.config.set_source_language(options.source_language);
  load.config.add_target_languages(options.target_language);
  load.config.mutable_text_input();
  load.config.set_session_label("bench");
  // Only where asked for: they make the events larger than those of other runs.
  if (options.word_stamps) load.config.mutable_output()->set_word_stamps(true);
  if (options.unstable_tail) load.config.mutable_output()->set_unstable_tail(true);
  DRAGOMAN_RETURN_IF_ERROR(SetPolicy(options.policy, &load.config));
  if (!(options.theta >= 0 && options.theta <= 1)) {
    return absl::InvalidArgumentError("--theta must be a number from 0 to 1");
  }
  if (options.theta > 0)
    load.config.mutable_compute()->set_theta(static_cast<float>(options.theta));
  DRAGOMAN_ASSIGN_OR_RETURN(const std::string text, ReadFile(options.file));
  load.words = SplitOnWhitespace(text);
  DRAGOMAN_RETURN_IF_ERROR(load.Validate());
  return load;
}

absl::StatusOr<std::optional<SlotSearchOptions>> MakeSearch(const BenchOptions& options) {
  if (!options.find_slots) {
    if (options.max_streams) {
      return absl::InvalidArgumentError("--max-streams is for --find-slots alone");
    }
    return std::nullopt;
  }
  if (options.slo.empty()) {
    return absl::InvalidArgumentError("--find-slots needs --slo: it searches what still meets it");
  }
  SlotSearchOptions search;
  search.first_streams = options.streams;
  search.max_streams = options.max_streams.value_or(std::max(kDefaultMaxStreams, options.streams));
  if (search.max_streams < options.streams || search.max_streams > 4096) {
    return absl::InvalidArgumentError(absl::StrCat("--max-streams ", search.max_streams,
                                                   ", wanted --streams (", options.streams,
                                                   ") to 4096"));
  }
  return search;
}

// Before the run: a report that cannot be written would be known only after it.
absl::Status CheckOut(const std::string& out) {
  if (out.empty()) return absl::OkStatus();
  std::error_code error;
  const std::filesystem::path path(out);
  const std::filesystem::path folder = path.has_parent_path() ? path.parent_path() : ".";
  if (std::filesystem::is_directory(folder, error) && !std::filesystem::is_directory(path, error)) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("--out '", out, "' is a folder or lies in none that exists"));
}

}  // namespace

absl::StatusOr<Slo> ParseSlo(const std::string& text) {
  Slo slo;
  for (const auto& [name, value] : SplitFields(text)) {
    double seconds = 0.0;
    if (!ParseSeconds(value, &seconds) || (name != "lag" && name != "first")) {
      return absl::InvalidArgumentError(
          absl::StrCat("--slo '", text, "' is not such as lag=1s,first=800ms"));
    }
    (name == "lag" ? slo.lag_seconds : slo.first_text_seconds) = seconds;
  }
  return slo;
}

absl::StatusOr<Arrival> ParseArrival(const std::string& text) {
  if (text.empty() || text == "spread") return Arrival::kSpread;
  if (text == "poisson") return Arrival::kPoisson;
  if (text == "burst") return Arrival::kBurst;
  return absl::InvalidArgumentError(
      absl::StrCat("--arrival '", text, "' is none of spread, poisson, burst"));
}

absl::StatusOr<ChaosShares> ParseChaos(const std::string& text) {
  ChaosShares shares;
  std::set<std::string> seen;
  for (const auto& [name, value] : SplitFields(text)) {
    if (name != "cancel" && name != "slow") {
      return absl::InvalidArgumentError(
          absl::StrCat("--chaos knows cancel and slow, not '", name, "'"));
    }
    if (!seen.insert(name).second) {
      return absl::InvalidArgumentError(absl::StrCat("--chaos has '", name, "' twice"));
    }
    double share = 0.0;
    if (!absl::SimpleAtod(value, &share)) {
      return absl::InvalidArgumentError(
          absl::StrCat("--chaos '", name, "=", value, "' is not such as ", name, "=.1"));
    }
    (name == "cancel" ? shares.cancel : shares.slow) = share;
  }
  const absl::Status status = shares.Validate();
  if (!status.ok()) {
    return absl::InvalidArgumentError(absl::StrCat("--chaos: ", status.message()));
  }
  return shares;
}

absl::StatusOr<BenchPlan> MakeBenchPlan(const BenchOptions& options) {
  BenchPlan plan;
  DRAGOMAN_ASSIGN_OR_RETURN(plan.slo, ParseSlo(options.slo));
  DRAGOMAN_ASSIGN_OR_RETURN(plan.search, MakeSearch(options));
  DRAGOMAN_RETURN_IF_ERROR(CheckOut(options.out));
  if (!options.metrics.empty()) {
    absl::StatusOr<MetricsAddress> metrics = ParseMetricsAddress(options.metrics);
    if (!metrics.ok()) {
      return absl::InvalidArgumentError(absl::StrCat("--metrics ", metrics.status().message()));
    }
    plan.metrics = *std::move(metrics);
  }
  DRAGOMAN_ASSIGN_OR_RETURN(plan.load, MakeLoadOptions(options));
  const std::vector<SessionRole> roles =
      AssignRoles(plan.load.chaos, plan.load.streams, plan.load.seed);
  if (!options.slo.empty() && std::count(roles.begin(), roles.end(), SessionRole::kOrderly) == 0) {
    return absl::InvalidArgumentError(
        "--chaos leaves no orderly session of --streams for --slo to judge");
  }
  return plan;
}

}  // namespace dragoman::client
