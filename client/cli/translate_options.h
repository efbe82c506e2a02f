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
  std::string policy;            // one of kPolicies; empty: the default of the model
  uint32_t max_lag_words = 0;    // 0: no bound
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

// For help texts and errors.
inline constexpr char kPolicies[] =
    "sentence, wait-k:N or wait-k:N:STRIDE or wait-k:N:STRIDE:CATCHUP with N and STRIDE of 1..64 "
    "and CATCHUP of 0..1, align-att or align-att:F with F of 1..64, adaptive:P or "
    "adaptive:P:MIN:MAX with a confidence P of "
    "0..1 and lags in words, local-agreement:N or local-agreement:N:STEP with N of 2..8";

// Sets the policy of `config` from one of kPolicies; empty leaves it unset.
// Errors: InvalidArgument.
absl::Status SetPolicy(const std::string& policy, v1::StreamConfig* config);

// The config of the session. Errors: InvalidArgument that names the flag and what it takes.
//   source_is_terminal: lines that a person types are closed thoughts, so `lines` is on.
absl::StatusOr<v1::StreamConfig> MakeStreamConfig(const TranslateOptions& options,
                                                  bool source_is_terminal);

}  // namespace dragoman::client
