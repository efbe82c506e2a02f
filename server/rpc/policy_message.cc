#include "server/rpc/policy_message.h"

#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace dragoman::server {
namespace {

uint32_t ValueOr(uint32_t value, uint32_t fallback) { return value > 0 ? value : fallback; }

uint32_t NumberAt(const std::vector<std::string>& fields, size_t index, uint32_t fallback) {
  uint32_t number = fallback;
  if (index < fields.size() && !absl::SimpleAtoi(fields[index], &number)) return fallback;
  return number;
}

}  // namespace

std::optional<std::string> ReadPolicy(const v1::StreamConfig& message) {
  switch (message.policy_case()) {
    case v1::StreamConfig::kWaitK:
      return absl::StrCat("wait-k:", message.wait_k().k());
    case v1::StreamConfig::kSentence:
      return "sentence";
    case v1::StreamConfig::kAdaptive: {
      const v1::AdaptivePolicy& adaptive = message.adaptive();
      const float threshold = adaptive.has_threshold() ? adaptive.threshold() : kAdaptiveThreshold;
      return absl::StrCat("adaptive:", threshold, ":",
                          ValueOr(adaptive.min_words(), kAdaptiveMinWords), ":",
                          ValueOr(adaptive.max_wait_words(), kAdaptiveMaxWaitWords));
    }
    case v1::StreamConfig::kLocalAgreement: {
      const v1::LocalAgreementPolicy& agreement = message.local_agreement();
      return absl::StrCat("local-agreement:", ValueOr(agreement.hypotheses(), kAgreementHypotheses),
                          ":", ValueOr(agreement.step_words(), kAgreementStepWords));
    }
    default:
      return std::nullopt;
  }
}

void WritePolicy(const std::string& policy, v1::StreamConfig* message) {
  const std::vector<std::string> fields = absl::StrSplit(policy, ':');
  if (fields[0] == "wait-k") {
    message->mutable_wait_k()->set_k(NumberAt(fields, 1, 0));
    message->mutable_wait_k()->set_stride(1);
  } else if (fields[0] == "adaptive") {
    float threshold = kAdaptiveThreshold;
    if (fields.size() > 1 && !absl::SimpleAtof(fields[1], &threshold)) {
      threshold = kAdaptiveThreshold;
    }
    v1::AdaptivePolicy& adaptive = *message->mutable_adaptive();
    adaptive.set_threshold(threshold);
    adaptive.set_min_words(NumberAt(fields, 2, kAdaptiveMinWords));
    adaptive.set_max_wait_words(NumberAt(fields, 3, kAdaptiveMaxWaitWords));
  } else if (fields[0] == "local-agreement") {
    v1::LocalAgreementPolicy& agreement = *message->mutable_local_agreement();
    agreement.set_hypotheses(NumberAt(fields, 1, kAgreementHypotheses));
    agreement.set_step_words(NumberAt(fields, 2, kAgreementStepWords));
  } else {
    message->mutable_sentence();
  }
}

}  // namespace dragoman::server
