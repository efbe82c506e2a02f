#include "server/rpc/policy_message.h"

#include <cmath>
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

float FractionAt(const std::vector<std::string>& fields, size_t index, float fallback) {
  float fraction = fallback;
  if (index < fields.size() && !absl::SimpleAtof(fields[index], &fraction)) return fallback;
  return fraction;
}

// Four digits, as ParsePolicy() keeps them, and never an exponent.
std::string FractionText(float value) {
  return absl::StrCat(std::round(static_cast<double>(value) * 1e4) / 1e4);
}

// Options that are off are left out, as the policy itself does.
std::string WaitKName(const v1::WaitKPolicy& wait_k) {
  const uint32_t stride = ValueOr(wait_k.stride(), kWaitKStride);
  const std::string catchup = FractionText(wait_k.catchup());
  std::string name = absl::StrCat("wait-k:", wait_k.k());
  if (stride > 1 || catchup != "0") absl::StrAppend(&name, ":", stride);
  if (catchup != "0") absl::StrAppend(&name, ":", catchup);
  return name;
}

}  // namespace

std::optional<std::string> ReadPolicy(const v1::StreamConfig& message, uint32_t align_att_words) {
  switch (message.policy_case()) {
    case v1::StreamConfig::kWaitK:
      return WaitKName(message.wait_k());
    case v1::StreamConfig::kSentence:
      return "sentence";
    case v1::StreamConfig::kAdaptive: {
      const v1::AdaptivePolicy& adaptive = message.adaptive();
      const float threshold = adaptive.has_threshold() ? adaptive.threshold() : kAdaptiveThreshold;
      return absl::StrCat("adaptive:", FractionText(threshold), ":",
                          ValueOr(adaptive.min_words(), kAdaptiveMinWords), ":",
                          ValueOr(adaptive.max_wait_words(), kAdaptiveMaxWaitWords));
    }
    case v1::StreamConfig::kLocalAgreement: {
      const v1::LocalAgreementPolicy& agreement = message.local_agreement();
      return absl::StrCat("local-agreement:", ValueOr(agreement.hypotheses(), kAgreementHypotheses),
                          ":", ValueOr(agreement.step_words(), kAgreementStepWords));
    }
    case v1::StreamConfig::kAlignAtt:
      return absl::StrCat("align-att:", ValueOr(message.align_att().frames(), align_att_words));
    default:
      return std::nullopt;
  }
}

void WritePolicy(const std::string& policy, v1::StreamConfig* message) {
  const std::vector<std::string> fields = absl::StrSplit(policy, ':');
  if (fields[0] == "wait-k") {
    v1::WaitKPolicy& wait_k = *message->mutable_wait_k();
    wait_k.set_k(NumberAt(fields, 1, 0));
    wait_k.set_stride(NumberAt(fields, 2, kWaitKStride));
    wait_k.set_catchup(FractionAt(fields, 3, 0));
  } else if (fields[0] == "adaptive") {
    v1::AdaptivePolicy& adaptive = *message->mutable_adaptive();
    adaptive.set_threshold(FractionAt(fields, 1, kAdaptiveThreshold));
    adaptive.set_min_words(NumberAt(fields, 2, kAdaptiveMinWords));
    adaptive.set_max_wait_words(NumberAt(fields, 3, kAdaptiveMaxWaitWords));
  } else if (fields[0] == "local-agreement") {
    v1::LocalAgreementPolicy& agreement = *message->mutable_local_agreement();
    agreement.set_hypotheses(NumberAt(fields, 1, kAgreementHypotheses));
    agreement.set_step_words(NumberAt(fields, 2, kAgreementStepWords));
  } else if (fields[0] == "align-att") {
    message->mutable_align_att()->set_frames(NumberAt(fields, 1, 0));
  } else {
    message->mutable_sentence();
  }
}

}  // namespace dragoman::server
