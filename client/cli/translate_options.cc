#include "client/cli/translate_options.h"

#include <cmath>
#include <cstdint>
#include <string_view>

#include "absl/strings/numbers.h"
#include "base/status_macros.h"
#include "base/strings.h"

namespace dragoman::client {
namespace {

constexpr uint32_t kMaxK = 64;  // of the contract

}  // namespace

absl::Status SetPolicy(const std::string& policy, v1::StreamConfig* config) {
  if (policy.empty()) return absl::OkStatus();
  if (policy == "sentence") {
    config->mutable_sentence();
    return absl::OkStatus();
  }
  constexpr std::string_view kWaitK = "wait-k:";
  uint32_t k = 0;
  if (policy.rfind(kWaitK, 0) == 0 &&
      absl::SimpleAtoi(ToAbsl(std::string_view(policy).substr(kWaitK.size())), &k) && k >= 1 &&
      k <= kMaxK) {
    config->mutable_wait_k()->set_k(k);
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "--policy '", policy, "' is neither 'sentence' nor 'wait-k:N' with N of 1..", kMaxK));
}

absl::StatusOr<v1::StreamConfig> MakeStreamConfig(const TranslateOptions& options,
                                                  bool source_is_terminal) {
  v1::StreamConfig config;
  config.set_model(options.model);
  config.set_source_language(options.source_language);
  config.add_target_languages(options.target_language);
  config.set_session_label(options.label);
  config.mutable_text_input()->set_newline_is_boundary(options.lines || source_is_terminal);
  DRAGOMAN_RETURN_IF_ERROR(SetPolicy(options.policy, &config));
  if (options.segment == "client") {
    config.set_segment_mode(v1::SEGMENT_CLIENT);
  } else if (options.segment == "auto") {
    config.set_segment_mode(v1::SEGMENT_AUTO);
  } else {
    return absl::InvalidArgumentError(
        absl::StrCat("--segment '", options.segment, "' is neither 'auto' nor 'client'"));
  }
  if (options.rate && !(*options.rate > 0 && std::isfinite(*options.rate))) {
    return absl::InvalidArgumentError("--rate must be a positive number of words per second");
  }
  if (options.theta && !(*options.theta >= 0 && *options.theta <= 1)) {
    return absl::InvalidArgumentError("--theta must be a number from 0 to 1");
  }
  if (options.theta) config.mutable_compute()->set_theta(static_cast<float>(*options.theta));
  if (options.jsonl && options.stamps) {
    return absl::InvalidArgumentError(
        "--jsonl and --stamps exclude each other: stamps are in the JSON events");
  }
  config.mutable_output()->set_word_stamps(options.stamps || options.jsonl);
  config.mutable_output()->set_model_stats(options.stats);
  return config;
}

}  // namespace dragoman::client
