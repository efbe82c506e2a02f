#include "model/policy/policy.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/strings.h"

namespace dragoman::model {
namespace {

constexpr std::string_view kSentenceName = "sentence";
constexpr int64_t kMaxLagWords = 64;
constexpr double kMaxThreshold = 4;  // above 2 nothing is sure enough, which tests use
constexpr int64_t kDefaultMinLag = 1, kDefaultMaxLag = 8;
constexpr int64_t kMinHypotheses = 2, kMaxHypotheses = 8;
constexpr int64_t kAgreementTokens = 16;
// One unit alone says too little for a draft of the whole target.
constexpr int64_t kAgreementUnits = 2;

absl::Status UnknownPolicy(std::string_view text) {
  return absl::InvalidArgumentError(absl::StrCat(
      "policy '", std::string(text), "' is unknown; known are ", std::string(KnownPolicies())));
}

// Digits only: SimpleAtoi also takes blanks and signs, which would make two names of one policy.
std::optional<int64_t> PlainNumber(std::string_view text, int64_t least, int64_t most) {
  if (text.empty() || text.front() == '0') return std::nullopt;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
  }
  int64_t value = 0;
  if (!absl::SimpleAtoi(ToAbsl(text), &value) || value < least || value > most) return std::nullopt;
  return value;
}

std::optional<double> PlainFraction(std::string_view text, double most) {
  for (const char c : text) {
    if ((c < '0' || c > '9') && c != '.') return std::nullopt;
  }
  double value = 0;
  if (!absl::SimpleAtod(ToAbsl(text), &value) || value > most) return std::nullopt;
  return std::round(value * 1e4) / 1e4;  // so that a name never needs an exponent
}

// "a:b:c" to its fields.
std::vector<std::string_view> Fields(std::string_view text) {
  std::vector<std::string_view> fields;
  while (true) {
    const size_t colon = text.find(':');
    fields.push_back(text.substr(0, colon));
    if (colon == std::string_view::npos) return fields;
    text.remove_prefix(colon + 1);
  }
}

std::unique_ptr<const Policy> MakeWaitK(std::span<const std::string_view> numbers) {
  if (numbers.empty() || numbers.size() > 3) return nullptr;
  const std::optional<int64_t> k = PlainNumber(numbers[0], 1, kMaxLagWords);
  const std::optional<int64_t> stride =
      numbers.size() > 1 ? PlainNumber(numbers[1], 1, kMaxLagWords) : 1;
  const std::optional<double> catchup = numbers.size() > 2 ? PlainFraction(numbers[2], 1) : 0.0;
  if (!k.has_value() || !stride.has_value() || !catchup.has_value()) return nullptr;
  return std::make_unique<const WaitKPolicy>(*k, *stride, *catchup);
}

std::unique_ptr<const Policy> MakeAlignAtt(std::span<const std::string_view> numbers) {
  if (numbers.size() != 1) return nullptr;
  if (numbers[0] == "0") return std::make_unique<const AlignAttPolicy>(0);
  const std::optional<int64_t> last_words = PlainNumber(numbers[0], 1, kMaxLagWords);
  return last_words.has_value() ? std::make_unique<const AlignAttPolicy>(*last_words) : nullptr;
}

std::unique_ptr<const Policy> MakeAdaptive(std::span<const std::string_view> numbers) {
  if (numbers.size() != 1 && numbers.size() != 3) return nullptr;
  const std::optional<double> delta = PlainFraction(numbers[0], kMaxThreshold);
  std::optional<int64_t> least = kDefaultMinLag, most = kDefaultMaxLag;
  if (numbers.size() == 3) {
    least = PlainNumber(numbers[1], 1, kMaxLagWords);
    most = PlainNumber(numbers[2], 1, kMaxLagWords);
  }
  if (!delta.has_value() || !least.has_value() || !most.has_value() || *least > *most) {
    return nullptr;
  }
  return std::make_unique<const AdaptivePolicy>(*delta, *least, *most);
}

std::unique_ptr<const Policy> MakeLocalAgreement(std::span<const std::string_view> numbers) {
  if (numbers.empty() || numbers.size() > 2) return nullptr;
  const std::optional<int64_t> hypotheses = PlainNumber(numbers[0], kMinHypotheses, kMaxHypotheses);
  const std::optional<int64_t> step =
      numbers.size() == 2 ? PlainNumber(numbers[1], 1, kMaxLagWords) : 1;
  if (!hypotheses.has_value() || !step.has_value()) return nullptr;
  return std::make_unique<const LocalAgreementPolicy>(*hypotheses, *step);
}

size_t CommonPrefix(std::span<const Draft> drafts) {
  size_t length = drafts.front().tokens.size();
  for (const Draft& draft : drafts.subspan(1)) {
    const auto [first, second] =
        std::mismatch(draft.tokens.begin(), draft.tokens.end(), drafts.front().tokens.begin(),
                      drafts.front().tokens.begin() + static_cast<int64_t>(length));
    length = static_cast<size_t>(first - draft.tokens.begin());
  }
  return length;
}

}  // namespace

size_t Policy::AcceptWords(const PolicyView&, std::span<const Draft>) const { return 0; }

Decision WaitKPolicy::Decide(const PolicyView& view) const {
  // Catch-ups such as 0.29 have no exact value; a hair more keeps whole products whole.
  constexpr double kRounding = 1e-6;
  const int64_t first_of_group = (view.next_word - 1) / stride_ * stride_ + 1;
  const auto saved =
      static_cast<int64_t>(std::floor(catchup_ * static_cast<double>(first_of_group) + kRounding));
  const int64_t needed = std::max<int64_t>(1, k_ + first_of_group - 1 - saved);
  return view.ended || view.visible_units >= needed ? Decision::kWrite : Decision::kRead;
}

std::string WaitKPolicy::name() const {
  std::string name = absl::StrCat("wait-k:", k_);
  if (stride_ > 1 || catchup_ > 0) absl::StrAppend(&name, ":", stride_);
  if (catchup_ > 0) absl::StrAppend(&name, ":", catchup_);
  return name;
}

Decision SentencePolicy::Decide(const PolicyView& view) const {
  return view.ended ? Decision::kWrite : Decision::kRead;
}

std::string SentencePolicy::name() const { return std::string(kSentenceName); }

Decision AdaptivePolicy::Decide(const PolicyView& view) const {
  const int64_t lag = view.visible_units - view.next_word + 1;
  if (view.ended || lag >= k_max_) return Decision::kWrite;
  return lag < k_min_ ? Decision::kRead : Decision::kDraft;
}

size_t AdaptivePolicy::AcceptWords(const PolicyView& view, std::span<const Draft> drafts) const {
  const Draft& draft = drafts.back();
  const auto lag = static_cast<double>(view.visible_units - view.next_word + 1 - k_min_);
  const double threshold = delta_ * (1 - 0.5 * lag / static_cast<double>(k_max_ - k_min_));
  return draft.confidence >= threshold ? draft.word_ends.size() : 0;
}

std::string AdaptivePolicy::name() const {
  return absl::StrCat("adaptive:", delta_, ":", k_min_, ":", k_max_);
}

Decision LocalAgreementPolicy::Decide(const PolicyView& view) const {
  if (view.ended) return Decision::kWrite;
  return view.visible_units >= kAgreementUnits && view.units_since_draft >= step_ ? Decision::kDraft
                                                                                  : Decision::kRead;
}

DraftRule LocalAgreementPolicy::draft_rule() const {
  return {.max_tokens = kAgreementTokens, .hypotheses = static_cast<size_t>(hypotheses_)};
}

size_t LocalAgreementPolicy::AcceptWords(const PolicyView&, std::span<const Draft> drafts) const {
  const auto wanted = static_cast<size_t>(hypotheses_);
  if (drafts.size() < wanted) return 0;
  const size_t common = CommonPrefix(drafts.last(wanted));
  size_t words = 0;
  for (const size_t end : drafts.back().word_ends) words += end < common;
  return words;
}

std::string LocalAgreementPolicy::name() const {
  return absl::StrCat("local-agreement:", hypotheses_, ":", step_);
}

Decision AlignAttPolicy::Decide(const PolicyView& view) const {
  if (view.ended) return Decision::kWrite;
  // No word lies before the last ones, so nothing could stay.
  return view.visible_units <= last_words_ ? Decision::kRead : Decision::kDraft;
}

bool AlignAttPolicy::KeepsToken(const PolicyView& view, int64_t attended) const {
  return view.ended || attended <= view.visible_units - last_words_;
}

size_t AlignAttPolicy::AcceptWords(const PolicyView&, std::span<const Draft> drafts) const {
  return drafts.back().word_ends.size();
}

std::string AlignAttPolicy::name() const { return absl::StrCat("align-att:", last_words_); }

int64_t MostAttendedWord(std::span<const float> attention, std::span<const int32_t> word_ends) {
  const auto words = static_cast<int64_t>(word_ends.size()) - 1;
  int64_t most_attended = words;
  float most = 0;
  for (int64_t w = 1; w <= words; ++w) {
    float sum = 0;
    for (int32_t t = word_ends[w - 1]; t < word_ends[w]; ++t) sum += attention[t];
    if (sum > most) {
      most = sum;
      most_attended = w;
    }
  }
  return most_attended;
}

std::string_view KnownPolicies() {
  return "sentence, wait-k:K or wait-k:K:STRIDE or wait-k:K:STRIDE:CATCHUP with K and STRIDE in "
         "1..64 and CATCHUP in 0..1, align-att:F with F in 0..64, adaptive:DELTA or "
         "adaptive:DELTA:MIN:MAX with a "
         "threshold DELTA (0.5 is a good begin) and lags MIN <= MAX in 1..64, local-agreement:N or "
         "local-agreement:N:STEP with N in 2..8 and STEP in 1..64";
}

absl::StatusOr<std::unique_ptr<const Policy>> ParsePolicy(std::string_view text) {
  const std::vector<std::string_view> fields = Fields(text);
  const std::span<const std::string_view> numbers = std::span(fields).subspan(1);
  std::unique_ptr<const Policy> policy;
  if (fields[0] == kSentenceName && numbers.empty()) {
    policy = std::make_unique<const SentencePolicy>();
  } else if (fields[0] == "wait-k") {
    policy = MakeWaitK(numbers);
  } else if (fields[0] == "adaptive") {
    policy = MakeAdaptive(numbers);
  } else if (fields[0] == "align-att") {
    policy = MakeAlignAtt(numbers);
  } else if (fields[0] == "local-agreement") {
    policy = MakeLocalAgreement(numbers);
  }
  if (policy == nullptr) return UnknownPolicy(text);
  return policy;
}

}  // namespace dragoman::model
