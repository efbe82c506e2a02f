// Settings of dragoman-server: flags and DRAGOMAN_* variables, the flag wins. Every setting has one
// row in one table, which serves parsing, help and --print-config.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/status.h"

namespace dragoman::server {

struct ServerConfig {
  // network
  std::string listen = "127.0.0.1:8443";        // port 0: the system chooses
  std::string admin_listen = "127.0.0.1:9464";  // "off": no admin port
  std::string cert;                             // PEM chain; empty: plain text
  std::string key;                              // PEM
  std::string client_ca;                        // PEM; set: clients need a certificate
  std::string token_file;                       // set: clients need a token
  bool insecure = false;                        // plain text, wanted
  bool insecure_any = false;                    // plain text beyond loopback
  uint32_t max_connections = 4096;              // 0: no limit
  uint32_t connections_per_peer = 64;           // 0: no limit
  uint32_t transport_megabytes = 0;             // 0: a quarter of the memory limit
  bool reflection = true;
  std::string port_file;  // gets the bound ports as JSON
  // model
  std::string model;             // folder of the model package
  std::string backend = "auto";  // "auto", "native", name of a module, or its path
  std::string device = "cpu";
  std::string compute = "float32";
  std::string weights = "auto";  // "auto": as the model has them; "fp32", "bf16", "int8", "int4"
  // Skip router: "auto": that of the package, if it has one; "off"; or the path of a router file.
  std::string router = "auto";
  std::string router_exec = "auto";         // "auto", "gather" or "masked"
  bool router_allow_base_mismatch = false;  // a router made for other weights
  uint32_t threads = 0;                     // of the backend; 0: its own choice
  uint32_t kv_pages = 0;                    // 0: enough for all slots at their longest
  // admission
  uint32_t slots = 64;
  uint32_t queue_depth = 64;
  uint32_t queue_wait_ms = 2000;
  uint32_t streams_per_client = 32;      // 0: no limit, as for the next two
  uint32_t starts_per_second = 20;       // of one client
  uint32_t source_words_per_minute = 0;  // of one client
  // limits
  uint32_t max_message_bytes = 262144;
  uint32_t max_text_chunk_bytes = 16384;
  uint32_t max_audio_chunk_bytes = 65536;
  uint32_t max_context_bytes = 32768;
  uint32_t max_examples = 8;
  uint32_t max_glossary_entries = 500;
  uint32_t max_unary_bytes = 65536;
  uint32_t inbox_bytes = 65536;
  uint32_t outbox_events = 256;
  uint32_t write_stall_seconds = 30;
  uint32_t max_stream_seconds = 14400;
  uint32_t idle_seconds = 60;
  uint32_t config_seconds = 10;
  uint32_t max_concurrent_streams = 128;  // per connection
  uint32_t max_metadata_bytes = 8192;
  // life
  uint32_t drain_seconds = 600;
  uint32_t drain_grace_seconds = 10;
  uint32_t step_timeout_seconds = 20;  // 0: no watchdog
  uint32_t self_probe_seconds = 10;    // 0: no self probe
  std::string instance;                // replica name in logs and GetInfo
  std::string log_level = "info";
  std::string trace = "none";    // "log": one line per span
  uint32_t step_budget_ms = 80;  // shown as step_budget_seconds; from `dragoman-model bench`

  // Errors: InvalidArgument with the name of the setting and its limits.
  absl::Status Validate() const;
};

struct ConfigSource {
  std::string value;
  std::string origin;  // "default", "environment" or "flag"
};

struct ParsedConfig {
  enum class Action { kRun, kPrint, kCheck, kProbe, kHelp };
  Action action = Action::kRun;
  ServerConfig config;
  std::map<std::string, ConfigSource> sources;  // by flag name without dashes
  std::string help;                             // for kHelp
};

// `arguments` without the program name; `environment` as "NAME=value" strings.
// Errors: InvalidArgument for an unknown flag, an unknown DRAGOMAN_ variable or a bad value.
absl::StatusOr<ParsedConfig> ParseConfig(const std::vector<std::string>& arguments,
                                         const std::vector<std::string>& environment);

// One line per setting: name, value, origin.
std::string PrintConfig(const ParsedConfig& parsed);

// "host:port" or "[v6]:port". Errors: InvalidArgument.
struct HostPort {
  std::string host;
  uint16_t port = 0;
};
absl::StatusOr<HostPort> ParseHostPort(const std::string& text);
// True for 127.0.0.0/8, ::1 and "localhost".
bool IsLoopback(const std::string& host);

}  // namespace dragoman::server
