#include "model/decode/sampler.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "base/check.h"

namespace dragoman::model {
namespace {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();
// Independent running values, so that the compiler may keep them in vector registers without being
// allowed to reorder float arithmetic.
constexpr size_t kLanes = 16;

struct RowMaximum {
  float value = kMinusInfinity;  // of logits + bias
  bool finite = true;            // of all logits, masked ones too
};

RowMaximum FindMaximum(const float* logits, const float* bias, size_t size) {
  std::array<float, kLanes> best;
  std::array<float, kLanes> residue;  // x - x is 0 for finite x, else NaN, and NaN stays
  best.fill(kMinusInfinity);
  residue.fill(0.0f);
  size_t i = 0;
  for (; i + kLanes <= size; i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) {
      const float x = logits[i + lane];
      const float biased = x + bias[i + lane];
      best[lane] = biased > best[lane] ? biased : best[lane];
      residue[lane] += x - x;
    }
  }
  for (; i < size; ++i) {
    best[0] = std::max(best[0], logits[i] + bias[i]);
    residue[0] += logits[i] - logits[i];
  }
  RowMaximum result;
  for (size_t lane = 0; lane < kLanes; ++lane) {
    result.value = std::max(result.value, best[lane]);
    result.finite = result.finite && !std::isnan(residue[lane]);
  }
  return result;
}

}  // namespace

GreedySampler::GreedySampler(TokenTraits traits) : traits_(std::move(traits)) {
  const size_t size = traits_.flags.size();
  open_bias_.resize(size);
  lock_bias_.resize(size);
  for (size_t i = 0; i < size; ++i) {
    const auto id = static_cast<TokenId>(i);
    open_bias_[i] = traits_.IsSuppressed(id) ? kMinusInfinity : 0.0f;
    lock_bias_[i] = traits_.IsWordStart(id) ? open_bias_[i] : kMinusInfinity;
  }
}

absl::StatusOr<TokenId> GreedySampler::Select(std::span<const float> logits, TokenId end_of_target,
                                              bool boundary_lock) const {
  DRAGOMAN_CHECK(logits.size() == traits_.flags.size());
  DRAGOMAN_CHECK(!traits_.IsSuppressed(end_of_target));
  const std::vector<float>& bias = boundary_lock ? lock_bias_ : open_bias_;

  const RowMaximum maximum = FindMaximum(logits.data(), bias.data(), logits.size());
  if (!maximum.finite) return absl::InternalError("logits are not finite");
  // The end of the target is a word border whatever its traits say.
  const float end_logit = logits[end_of_target];
  if (end_logit > maximum.value) return end_of_target;
  TokenId best = end_of_target;
  for (size_t i = 0; i < logits.size(); ++i) {
    if (logits[i] + bias[i] == maximum.value) {
      best = static_cast<TokenId>(i);
      break;
    }
  }
  return end_logit == maximum.value ? std::min(best, end_of_target) : best;
}

absl::StatusOr<TokenId> GreedySampler::SelectText(std::span<const float> logits,
                                                  TokenId end_of_target, bool boundary_lock) const {
  DRAGOMAN_CHECK(logits.size() == traits_.flags.size());
  const std::vector<float>& bias = boundary_lock ? lock_bias_ : open_bias_;
  TokenId best = -1;
  float highest = kMinusInfinity;
  for (size_t i = 0; i < logits.size(); ++i) {
    if (!std::isfinite(logits[i])) return absl::InternalError("logits are not finite");
    const auto id = static_cast<TokenId>(i);
    if (id != end_of_target && logits[i] + bias[i] > highest) {
      highest = logits[i] + bias[i];
      best = id;
    }
  }
  // A vocabulary without a word start leaves nothing but the end.
  return best < 0 ? end_of_target : best;
}

float GreedySampler::Probability(std::span<const float> logits, TokenId id) {
  const float top = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(logit - top);
  return static_cast<float>(std::exp(logits[id] - top) / sum);
}

}  // namespace dragoman::model
