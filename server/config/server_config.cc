#include "server/config/server_config.h"

#include <functional>
#include <optional>
#include <utility>

#include "CLI/CLI.hpp"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "model/api/gate_rule.h"
#include "model/api/weight_type.h"

namespace dragoman::server {
namespace {

enum class Kind { kText, kNumber, kSwitch };

// One setting: where it lives and what it means.
struct Setting {
  const char* name;
  Kind kind;
  const char* help;
  std::string ServerConfig::*text = nullptr;
  uint32_t ServerConfig::*number = nullptr;
  bool ServerConfig::*flag = nullptr;
};

Setting Text(const char* name, std::string ServerConfig::*field, const char* help) {
  return {name, Kind::kText, help, field, nullptr, nullptr};
}
Setting Number(const char* name, uint32_t ServerConfig::*field, const char* help) {
  return {name, Kind::kNumber, help, nullptr, field, nullptr};
}
Setting Switch(const char* name, bool ServerConfig::*field, const char* help) {
  return {name, Kind::kSwitch, help, nullptr, nullptr, field};
}

const std::vector<Setting>& Settings() {
  using C = ServerConfig;
  static const auto* const settings = new std::vector<Setting>{
      Text("listen", &C::listen, "address of the gRPC port; port 0: the system chooses"),
      Text("admin-listen", &C::admin_listen,
           "address of /metrics, /livez, /readyz, /configz; \"off\": none"),
      Text("cert", &C::cert, "certificate chain (PEM), watched for changes"),
      Text("key", &C::key, "private key of --cert (PEM)"),
      Text("client-ca", &C::client_ca,
           "authorities (PEM): clients need a certificate that one of them signed"),
      Text("token-file", &C::token_file, "file of clients and hashes of their tokens"),
      Switch("insecure", &C::insecure, "serve plain text; only on loopback"),
      Switch("insecure-any", &C::insecure_any, "with --insecure: plain text on any address"),
      Number("max-connections", &C::max_connections, "open connections; 0: no limit"),
      Number("connections-per-peer", &C::connections_per_peer,
             "open connections of one address; 0: no limit"),
      Number("transport-megabytes", &C::transport_megabytes,
             "memory of the transport; 0: a quarter of the memory limit"),
      Switch("reflection", &C::reflection, "serve gRPC reflection"),
      Text("port-file", &C::port_file, "file that gets the bound ports as JSON"),
      Text("model", &C::model, "folder of the model package"),
      Text("backend", &C::backend,
           "native, or a backend module (torch, or the path of a library); auto: native on cpu"),
      Text("device", &C::device, "cpu, cuda or cuda:N"),
      Text("compute", &C::compute, "float32 or bfloat16"),
      Text("weights", &C::weights,
           "of the native backend: fp32, bf16, int8 or int4; auto: as the model has them"),
      Text("router", &C::router,
           "skip router for streams that ask for it: auto (the model's, if it has one), off, or a "
           "file"),
      Text("router-exec", &C::router_exec, "how skipped rows are computed: auto, gather or masked"),
      Switch("router-allow-base-mismatch", &C::router_allow_base_mismatch,
             "accept a router that was made for other weights"),
      Number("threads", &C::threads, "compute threads; 0: the backend's own choice"),
      Number("kv-pages", &C::kv_pages, "pages of the KV pool; 0: enough for all slots"),
      Number("slots", &C::slots, "streams served at once"),
      Number("queue-depth", &C::queue_depth, "streams that may wait for a slot"),
      Number("queue-wait-ms", &C::queue_wait_ms, "default wait for a slot; at most 30000"),
      Number("streams-per-client", &C::streams_per_client,
             "streams of one client at once; 0: no limit"),
      Number("starts-per-second", &C::starts_per_second,
             "streams that one client may start in a second; 0: no limit"),
      Number("source-words-per-minute", &C::source_words_per_minute,
             "source words of one client; 0: no limit"),
      Number("max-message-bytes", &C::max_message_bytes, "largest message"),
      Number("max-text-chunk-bytes", &C::max_text_chunk_bytes, "largest text chunk"),
      Number("max-audio-chunk-bytes", &C::max_audio_chunk_bytes, "largest audio chunk"),
      Number("max-context-bytes", &C::max_context_bytes, "largest context of a stream"),
      Number("max-examples", &C::max_examples, "examples in a context"),
      Number("max-glossary-entries", &C::max_glossary_entries, "glossary entries in a context"),
      Number("max-unary-bytes", &C::max_unary_bytes, "largest text of Translate"),
      Number("inbox-bytes", &C::inbox_bytes, "source that may wait per stream"),
      Number("outbox-events", &C::outbox_events, "events that may wait per stream"),
      Number("write-stall-seconds", &C::write_stall_seconds, "a slow reader is ended after this"),
      Number("max-stream-seconds", &C::max_stream_seconds, "longest session"),
      Number("idle-seconds", &C::idle_seconds, "a silent client is ended after this"),
      Number("config-seconds", &C::config_seconds, "wait for the first message"),
      Number("max-concurrent-streams", &C::max_concurrent_streams, "streams per connection"),
      Number("max-metadata-bytes", &C::max_metadata_bytes, "largest request metadata"),
      Number("drain-seconds", &C::drain_seconds, "time for running streams after SIGTERM"),
      Number("drain-grace-seconds", &C::drain_grace_seconds,
             "still listening for this long after SIGTERM"),
      Number("step-timeout-seconds", &C::step_timeout_seconds,
             "a compute step that hangs for this long ends the process with 70; 0: never"),
      Number(
          "self-probe-seconds", &C::self_probe_seconds,
          "time between dials of the own port; three failures end the process with 71; 0: never"),
      Text("instance", &C::instance, "name of this replica in logs and GetInfo"),
      Text("log-level", &C::log_level, "debug, info, warning, error or off"),
      Text("trace", &C::trace, "spans of sessions: none, or log (one line each)"),
      Number("step-budget-ms", &C::step_budget_ms,
             "longest decode step that serves all slots in time; for the alert StepSlow"),
  };
  return *settings;
}

std::string EnvironmentName(const std::string& flag) {
  return absl::StrCat("DRAGOMAN_", absl::AsciiStrToUpper(absl::StrReplaceAll(flag, {{"-", "_"}})));
}

std::string ValueOf(const ServerConfig& config, const Setting& setting) {
  switch (setting.kind) {
    case Kind::kText:
      return config.*setting.text;
    case Kind::kNumber:
      return absl::StrCat(config.*setting.number);
    case Kind::kSwitch:
      return config.*setting.flag ? "on" : "off";
  }
  return "";
}

absl::Status Assign(const Setting& setting, const std::string& value, ServerConfig* config) {
  switch (setting.kind) {
    case Kind::kText:
      config->*setting.text = value;
      return absl::OkStatus();
    case Kind::kNumber:
      if (absl::SimpleAtoi(value, &(config->*setting.number))) return absl::OkStatus();
      return absl::InvalidArgumentError(
          absl::StrCat("--", setting.name, "=", value, " is not a number in 0..4294967295"));
    case Kind::kSwitch:
      if (value == "on" || value == "true" || value == "1") {
        config->*setting.flag = true;
        return absl::OkStatus();
      }
      if (value == "off" || value == "false" || value == "0") {
        config->*setting.flag = false;
        return absl::OkStatus();
      }
      return absl::InvalidArgumentError(
          absl::StrCat("--", setting.name, "=", value, " is neither on nor off"));
  }
  return absl::InternalError("unknown kind of setting");
}

absl::Status InRange(const char* name, uint32_t value, uint32_t min, uint32_t max) {
  if (value >= min && value <= max) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("--", name, "=", value, " is outside ", min, "..", max));
}

// Whether a DRAGOMAN_* variable is not meant for the server: the client's, the tests', and those
// that Kubernetes sets in every pod beside a service whose name begins with "dragoman".
bool BelongsToOthers(const std::string& name) {
  if (name == "DRAGOMAN_SERVER" || name == "DRAGOMAN_TEST_SEED") return true;
  const size_t port = name.find("_PORT_");  // DRAGOMAN_PORT_8443_TCP, but not DRAGOMAN_PORT_FILE
  return absl::StrContains(name, "_SERVICE_HOST") || absl::StrContains(name, "_SERVICE_PORT") ||
         absl::EndsWith(name, "_PORT") ||
         (port != std::string::npos && absl::ascii_isdigit(name.c_str()[port + 6]));
}

}  // namespace

absl::StatusOr<HostPort> ParseHostPort(const std::string& text) {
  const size_t colon = text.rfind(':');
  uint32_t port = 0;
  if (colon == std::string::npos || colon == 0 ||
      !absl::SimpleAtoi(text.substr(colon + 1), &port) || port > 65535) {
    return absl::InvalidArgumentError(absl::StrCat("address \"", text, "\" is not host:port"));
  }
  std::string host = text.substr(0, colon);
  if (host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string::npos) {
    return absl::InvalidArgumentError(
        absl::StrCat("address \"", text, "\": write IPv6 as [host]:port"));
  }
  return HostPort{std::move(host), static_cast<uint16_t>(port)};
}

bool IsLoopback(const std::string& host) {
  return absl::StartsWith(host, "127.") || host == "::1" || host == "localhost";
}

absl::Status ServerConfig::Validate() const {
  DRAGOMAN_ASSIGN_OR_RETURN(const HostPort address, ParseHostPort(listen));
  if (admin_listen != "off") {
    DRAGOMAN_RETURN_IF_ERROR(ParseHostPort(admin_listen).status());
  }
  if (cert.empty() != key.empty()) {
    return absl::InvalidArgumentError("--cert and --key are needed both or not at all");
  }
  if (cert.empty() && !client_ca.empty()) {
    return absl::InvalidArgumentError("--client-ca needs --cert and --key");
  }
  if (!cert.empty() && (insecure || insecure_any)) {
    return absl::InvalidArgumentError("--insecure and --cert exclude each other");
  }
  if (cert.empty() && !insecure) {
    return absl::InvalidArgumentError(
        "--cert and --key are needed, or --insecure for plain text on loopback");
  }
  if (cert.empty() && !insecure_any && !IsLoopback(address.host)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--listen=", listen, " is not loopback: plain text there needs --insecure-any"));
  }
  if (model.empty()) return absl::InvalidArgumentError("--model is needed");
  if (device != "cpu" && device != "cuda" && !absl::StartsWith(device, "cuda:")) {
    return absl::InvalidArgumentError(absl::StrCat("--device=", device, " is unknown"));
  }
  if (compute != "float32" && compute != "bfloat16") {
    return absl::InvalidArgumentError(
        absl::StrCat("--compute=", compute, " is neither float32 nor bfloat16"));
  }
  if (weights != "auto" && !model::ParseWeightType(weights).has_value()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--weights=", weights, " is none of auto, fp32, bf16, int8, int4"));
  }
  if (!model::ParseRouterExec(router_exec).has_value()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--router-exec=", router_exec, " is none of auto, gather, masked"));
  }
  DRAGOMAN_RETURN_IF_ERROR(ParseLogLevel(log_level).status());
  if (trace != "none" && trace != "log") {
    return absl::InvalidArgumentError(absl::StrCat("--trace=", trace, " is neither none nor log"));
  }
  constexpr uint32_t kDay = 86400;
  DRAGOMAN_RETURN_IF_ERROR(InRange("threads", threads, 0, 1024));
  DRAGOMAN_RETURN_IF_ERROR(InRange("slots", slots, 1, 4096));
  DRAGOMAN_RETURN_IF_ERROR(InRange("queue-depth", queue_depth, 0, 65536));
  DRAGOMAN_RETURN_IF_ERROR(InRange("queue-wait-ms", queue_wait_ms, 0, 30000));
  DRAGOMAN_RETURN_IF_ERROR(InRange("max-message-bytes", max_message_bytes, 1024, 1u << 26));
  DRAGOMAN_RETURN_IF_ERROR(
      InRange("max-text-chunk-bytes", max_text_chunk_bytes, 16, max_message_bytes));
  DRAGOMAN_RETURN_IF_ERROR(InRange("max-unary-bytes", max_unary_bytes, 16, max_message_bytes));
  DRAGOMAN_RETURN_IF_ERROR(InRange("max-context-bytes", max_context_bytes, 0, max_message_bytes));
  DRAGOMAN_RETURN_IF_ERROR(InRange("inbox-bytes", inbox_bytes, max_text_chunk_bytes, 1u << 26));
  DRAGOMAN_RETURN_IF_ERROR(InRange("outbox-events", outbox_events, 8, 65536));
  DRAGOMAN_RETURN_IF_ERROR(InRange("write-stall-seconds", write_stall_seconds, 1, 3600));
  DRAGOMAN_RETURN_IF_ERROR(InRange("max-stream-seconds", max_stream_seconds, 1, 30 * kDay));
  DRAGOMAN_RETURN_IF_ERROR(InRange("idle-seconds", idle_seconds, 1, kDay));
  DRAGOMAN_RETURN_IF_ERROR(InRange("config-seconds", config_seconds, 1, 3600));
  DRAGOMAN_RETURN_IF_ERROR(InRange("max-concurrent-streams", max_concurrent_streams, 1, 65536));
  DRAGOMAN_RETURN_IF_ERROR(InRange("max-metadata-bytes", max_metadata_bytes, 1024, 1u << 20));
  DRAGOMAN_RETURN_IF_ERROR(InRange("max-connections", max_connections, 0, 1u << 20));
  DRAGOMAN_RETURN_IF_ERROR(InRange("connections-per-peer", connections_per_peer, 0, 1u << 20));
  DRAGOMAN_RETURN_IF_ERROR(InRange("transport-megabytes", transport_megabytes, 0, 1u << 20));
  DRAGOMAN_RETURN_IF_ERROR(InRange("step-timeout-seconds", step_timeout_seconds, 0, 3600));
  DRAGOMAN_RETURN_IF_ERROR(InRange("self-probe-seconds", self_probe_seconds, 0, 3600));
  DRAGOMAN_RETURN_IF_ERROR(InRange("step-budget-ms", step_budget_ms, 1, 60000));
  DRAGOMAN_RETURN_IF_ERROR(InRange("drain-seconds", drain_seconds, 0, kDay));
  return InRange("drain-grace-seconds", drain_grace_seconds, 0, 3600);
}

absl::StatusOr<ParsedConfig> ParseConfig(const std::vector<std::string>& arguments,
                                         const std::vector<std::string>& environment) {
  ParsedConfig parsed;
  CLI::App app("dragoman-server: streaming translation over gRPC", "dragoman-server");
  app.set_help_flag("--help,-h", "print this help");
  app.footer(
      "Each flag has a variable: DRAGOMAN_ and the name in upper case with \"_\", such as "
      "DRAGOMAN_QUEUE_DEPTH. The flag wins.");
  bool print = false;
  bool check = false;
  bool probe = false;
  app.add_flag("--print-config", print, "print every setting with its value and origin");
  app.add_flag("--check-config", check, "check the settings; exit 0 or 2");
  app.add_flag("--probe", probe,
               "ask the server that runs with these settings whether it is ready; exit 0 or 1");
  std::map<std::string, std::string> flags;
  std::map<std::string, CLI::Option*> options;
  for (const Setting& setting : Settings()) {
    std::string& value = flags[setting.name];
    const std::string name = absl::StrCat("--", setting.name);
    const std::string initial = ValueOf(parsed.config, setting);
    const std::string help =
        initial.empty() ? setting.help : absl::StrCat(setting.help, " [", initial, "]");
    CLI::Option* option = setting.kind == Kind::kSwitch ? app.add_flag(name + "{on}", value, help)
                                                        : app.add_option(name, value, help);
    options[setting.name] = option->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  }
  try {
    // CLI11 takes the arguments in reverse order.
    app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::CallForHelp&) {
    parsed.action = ParsedConfig::Action::kHelp;
    parsed.help = app.help();
    return parsed;
  } catch (const CLI::ParseError& error) {
    return absl::InvalidArgumentError(error.what());
  }

  std::map<std::string, std::string> variables;
  for (const std::string& entry : environment) {
    if (!absl::StartsWith(entry, "DRAGOMAN_")) continue;
    const size_t equals = entry.find('=');
    const std::string name = entry.substr(0, equals);
    if (BelongsToOthers(name)) continue;
    variables[name] = equals == std::string::npos ? "" : entry.substr(equals + 1);
  }
  for (const Setting& setting : Settings()) {
    std::string origin = "default";
    const auto variable = variables.find(EnvironmentName(setting.name));
    if (variable != variables.end()) {
      const absl::Status status = Assign(setting, variable->second, &parsed.config);
      if (!status.ok()) return AddContext(status, "variable " + variable->first);
      origin = "environment";
      variables.erase(variable);
    }
    if (options[setting.name]->count() > 0) {
      DRAGOMAN_RETURN_IF_ERROR(Assign(setting, flags[setting.name], &parsed.config));
      origin = "flag";
    }
    parsed.sources[setting.name] = {ValueOf(parsed.config, setting), origin};
  }
  if (!variables.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("variable ", variables.begin()->first, " is unknown"));
  }
  if (print) parsed.action = ParsedConfig::Action::kPrint;
  if (check) parsed.action = ParsedConfig::Action::kCheck;
  if (probe) parsed.action = ParsedConfig::Action::kProbe;
  return parsed;
}

std::string PrintConfig(const ParsedConfig& parsed) {
  std::string text;
  for (const Setting& setting : Settings()) {
    const ConfigSource& source = parsed.sources.at(setting.name);
    absl::StrAppendFormat(&text, "%-24s %-24s (%s)\n", setting.name,
                          source.value.empty() ? "\"\"" : source.value, source.origin);
  }
  return text;
}

}  // namespace dragoman::server
