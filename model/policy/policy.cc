#include "model/policy/policy.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/strings.h"

namespace dragoman::model {
namespace {

constexpr std::string_view kWaitKPrefix = "wait-k:";
constexpr std::string_view kSentenceName = "sentence";
constexpr int64_t kMaxLagWords = 64;

absl::Status UnknownPolicy(std::string_view text) {
  return absl::InvalidArgumentError(absl::StrCat("policy '", std::string(text),
                                                 "' is unknown; known are wait-k:K with K in 1..",
                                                 kMaxLagWords, " and sentence"));
}

// Digits only: SimpleAtoi also takes blanks and signs, which would make two names of one policy.
bool IsPlainNumber(std::string_view text) {
  if (text.empty() || text.front() == '0') return false;
  for (const char c : text) {
    if (c < '0' || c > '9') return false;
  }
  return true;
}

}  // namespace

Decision WaitKPolicy::Decide(const PolicyView& view) const {
  return view.ended || view.visible_units >= k_ + view.next_word - 1 ? Decision::kWrite
                                                                     : Decision::kRead;
}

std::string WaitKPolicy::name() const { return absl::StrCat(std::string(kWaitKPrefix), k_); }

Decision SentencePolicy::Decide(const PolicyView& view) const {
  return view.ended ? Decision::kWrite : Decision::kRead;
}

std::string SentencePolicy::name() const { return std::string(kSentenceName); }

absl::StatusOr<std::unique_ptr<const Policy>> ParsePolicy(std::string_view text) {
  if (text == kSentenceName) return std::make_unique<const SentencePolicy>();
  if (!text.starts_with(kWaitKPrefix)) return UnknownPolicy(text);
  const std::string_view number = text.substr(kWaitKPrefix.size());
  int64_t k = 0;
  if (!IsPlainNumber(number) || !absl::SimpleAtoi(ToAbsl(number), &k) || k > kMaxLagWords) {
    return UnknownPolicy(text);
  }
  return std::make_unique<const WaitKPolicy>(k);
}

}  // namespace dragoman::model
