#include "client/cli/translate_options.h"

#include <cmath>
#include <cstdint>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"

namespace dragoman::client {
namespace {

constexpr uint32_t kMaxWords = 64;  // of the contract

// Reads a whole number of 1..64.
bool ReadWords(const std::string& text, uint32_t* words) {
  return absl::SimpleAtoi(text, words) && *words >= 1 && *words <= kMaxWords;
}

// "3", "3:STRIDE" or "3:STRIDE:CATCHUP".
bool ReadWaitK(const std::vector<std::string>& fields, v1::WaitKPolicy* policy) {
  uint32_t k = 0, stride = 1;
  float catchup = 0;
  if (fields.size() > 4 || !ReadWords(fields[1], &k)) return false;
  if (fields.size() > 2 && !ReadWords(fields[2], &stride)) return false;
  if (fields.size() > 3 &&
      (!absl::SimpleAtof(fields[3], &catchup) || !(catchup >= 0 && catchup <= 1))) {
    return false;
  }
  policy->set_k(k);
  policy->set_stride(stride);
  policy->set_catchup(catchup);
  return true;
}

// Nothing, or "F".
bool ReadAlignAtt(const std::vector<std::string>& fields, v1::AlignAttPolicy* policy) {
  uint32_t words = 0;  // the model's choice
  if (fields.size() > 2 || (fields.size() == 2 && !ReadWords(fields[1], &words))) return false;
  policy->set_frames(words);
  return true;
}

// "0.7", or "0.7:MIN:MAX".
bool ReadAdaptive(const std::vector<std::string>& fields, v1::AdaptivePolicy* policy) {
  float threshold = 0;
  if (!absl::SimpleAtof(fields[1], &threshold) || !(threshold >= 0 && threshold <= 1)) return false;
  policy->set_threshold(threshold);
  if (fields.size() == 2) return true;
  uint32_t least = 0, most = 0;
  if (fields.size() != 4 || !ReadWords(fields[2], &least) || !ReadWords(fields[3], &most) ||
      least > most) {
    return false;
  }
  policy->set_min_words(least);
  policy->set_max_wait_words(most);
  return true;
}

// "2", or "2:STEP".
bool ReadLocalAgreement(const std::vector<std::string>& fields, v1::LocalAgreementPolicy* policy) {
  uint32_t hypotheses = 0, step = 1;
  if (!absl::SimpleAtoi(fields[1], &hypotheses) || hypotheses < 2 || hypotheses > 8) return false;
  if (fields.size() > 3 || (fields.size() == 3 && !ReadWords(fields[2], &step))) return false;
  policy->set_hypotheses(hypotheses);
  policy->set_step_words(step);
  return true;
}

}  // namespace

absl::Status SetPolicy(const std::string& policy, v1::StreamConfig* config) {
  if (policy.empty()) return absl::OkStatus();
  const std::vector<std::string> fields = absl::StrSplit(policy, ':');
  const bool has_value = fields.size() > 1;
  bool known = false;
  if (fields[0] == "sentence" && !has_value) {
    config->mutable_sentence();
    known = true;
  } else if (fields[0] == "wait-k" && has_value) {
    known = ReadWaitK(fields, config->mutable_wait_k());
  } else if (fields[0] == "align-att") {
    known = ReadAlignAtt(fields, config->mutable_align_att());
  } else if (fields[0] == "adaptive" && has_value) {
    known = ReadAdaptive(fields, config->mutable_adaptive());
  } else if (fields[0] == "local-agreement" && has_value) {
    known = ReadLocalAgreement(fields, config->mutable_local_agreement());
  }
  if (known) return absl::OkStatus();
  config->clear_policy();
  return absl::InvalidArgumentError(absl::StrCat("--policy '", policy, "' is none of ", kPolicies));
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
  config.set_max_lag_words(options.max_lag_words);
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
