// What the user asked `dragoman translate` to do.
#pragma once

#include <optional>
#include <string>

#include "base/status.h"
#include "client/api/channel_options.h"
#include "proto/dragoman/v1/interpreter.pb.h"

namespace dragoman::client {

struct TranslateOptions {
  ChannelOptions channel;
  std::string source_language;
  std::string target_language;
  std::string policy;            // "wait-k:N", "sentence"; empty: the default of the model
  std::string model;             // empty: the default of the server
  std::optional<double> rate;    // source words a second
  std::optional<double> theta;   // skip dial, 0 to 1; unset: that of the server
  std::string segment = "auto";  // "auto", "client"
  std::string label;
  std::string file = "-";  // "-": standard input
  bool jsonl = false;
  bool stamps = false;
  bool stats = false;
  // Go on in a new session when one breaks. Unset: for standard input, not for files, which can be
  // sent again.
  std::optional<bool> reconnect;
  bool lines = false;  // a line feed ends a segment in auto mode
};

// Sets the policy of `config` from "wait-k:N" or "sentence"; empty leaves it unset.
// Errors: InvalidArgument.
absl::Status SetPolicy(const std::string& policy, v1::StreamConfig* config);

// The config of the session. Errors: InvalidArgument that names the flag and what it takes.
//   source_is_terminal: lines that a person types are closed thoughts, so `lines` is on.
absl::StatusOr<v1::StreamConfig> MakeStreamConfig(const TranslateOptions& options,
                                                  bool source_is_terminal);

}  // namespace dragoman::client
