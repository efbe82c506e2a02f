// READ/WRITE rules of simultaneous translation on the unit clock: never chunk borders, never time
// (streaming.md section 9). Policies are pure: same arguments, same answer. Thread-safe by being
// immutable.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "model/api/model_config.h"

namespace dragoman::model {

enum class Decision {
  kRead,   // the word needs more source
  kWrite,  // the word is written and final as it closes
  kDraft,  // write on trial, then ask AcceptWords() how much of it is final
};

// What a policy may look at. Units are source words plus the end-of-source marker (unit W+1).
struct PolicyView {
  int64_t next_word = 1;          // j, 1-based: target word to write
  int64_t visible_units = 0;      // c
  bool ended = false;             // c == W+1: the marker is visible
  int64_t units_since_draft = 0;  // c minus the c of the last draft of this segment, or c
};

// Where a draft ends at the latest. The end of the target ends it too.
struct DraftRule {
  int64_t max_words = std::numeric_limits<int64_t>::max();
  int64_t max_tokens = std::numeric_limits<int64_t>::max();
  size_t hypotheses = 1;  // drafts that AcceptWords() wants to see, at most
  bool needs_confidence = false;
};

// Target tokens behind the committed ones, written at one visibility.
struct Draft {
  std::vector<TokenId> tokens;
  // Ends of its whole words as counts of tokens: where the next word starts, or the target ends. A
  // draft that is nothing but the end of the target has one empty word.
  std::vector<size_t> word_ends;
  // Least probability that the model gave to one of the tokens, or to the end of an empty draft.
  float confidence = 1;
};

class Policy {
 public:
  virtual ~Policy() = default;
  // May word `next_word` be written now? Asked only at a word border. A policy answers kWrite once
  // the source has ended.
  virtual Decision Decide(const PolicyView& view) const = 0;
  // For policies that answer kDraft.
  virtual DraftRule draft_rule() const { return {}; }
  // Does KeepsToken() look at the attention? The rows are then to report it.
  virtual bool needs_attention() const { return false; }
  // May the next token of a draft stay, whose row attended most to source word `attended`, 1 to c?
  // When not, it is dropped with the rest of the draft.
  virtual bool KeepsToken(const PolicyView&, int64_t /*attended*/) const { return true; }
  // How many words of the newest draft, which is the last one, are final. `view` is that of its
  // beginning; every draft begins behind the same committed text, at rising visibility.
  virtual size_t AcceptWords(const PolicyView& view, std::span<const Draft> drafts) const;
  // "wait-k:3", "sentence": ParsePolicy(name()) gives an equal policy.
  virtual std::string name() const = 0;
};

// Wait-k (Ma et al. 2019): word j is written once min(k + j - 1, W) source words are visible, in
// terms of our unit clock c >= k + j - 1 or ended. Two options for other ratios of length:
//   stride s (wait-k-stride-n, Zeng et al. 2021): target words are written in groups of s, all of
//     them once the first one may be; s source words are read between two groups.
//   catch-up r (Ma et al. 2019): for every 1/r target words one source word less is read, so that
//     word j waits for k + j - 1 - floor(r j) words, and for one at the least.
class WaitKPolicy final : public Policy {
 public:
  explicit WaitKPolicy(int64_t k, int64_t stride = 1, double catchup = 0)
      : k_(k), stride_(stride), catchup_(catchup) {}
  Decision Decide(const PolicyView& view) const override;
  std::string name() const override;
  int64_t k() const { return k_; }

 private:
  const int64_t k_, stride_;
  const double catchup_;
};

// Writes when the whole segment has been read: the offline reference for quality.
class SentencePolicy final : public Policy {
 public:
  Decision Decide(const PolicyView& view) const override;
  std::string name() const override;
};

// Drafts word j at lag c - j + 1 in [k_min, k_max) and keeps it when the model is sure enough: the
// threshold falls linearly from `delta` at k_min to delta / 2 at k_max. Below it reads, from k_max
// on it writes.
class AdaptivePolicy final : public Policy {
 public:
  AdaptivePolicy(double delta, int64_t k_min, int64_t k_max)
      : delta_(delta), k_min_(k_min), k_max_(k_max) {}
  Decision Decide(const PolicyView& view) const override;
  DraftRule draft_rule() const override { return {.max_words = 1, .needs_confidence = true}; }
  size_t AcceptWords(const PolicyView& view, std::span<const Draft> drafts) const override;
  std::string name() const override;

 private:
  const double delta_;
  const int64_t k_min_, k_max_;
};

// Local agreement (Liu et al. 2020): after every `step` units a new draft; the words that the last
// `hypotheses` drafts begin with are final. A word counts when the start of the next one is common
// too.
class LocalAgreementPolicy final : public Policy {
 public:
  LocalAgreementPolicy(int64_t hypotheses, int64_t step) : hypotheses_(hypotheses), step_(step) {}
  Decision Decide(const PolicyView& view) const override;
  DraftRule draft_rule() const override;
  size_t AcceptWords(const PolicyView& view, std::span<const Draft> drafts) const override;
  std::string name() const override;

 private:
  const int64_t hypotheses_, step_;
};

// AlignAtt (Papi et al. 2023): writes while the model attends to source words that are not among
// the last `last_words` visible ones. Word by word at one visibility; a token whose row attends to
// a word beyond is dropped with the begun word, and more is read. With 0 it never stops, with W or
// more it is `sentence`.
class AlignAttPolicy final : public Policy {
 public:
  explicit AlignAttPolicy(int64_t last_words) : last_words_(last_words) {}
  Decision Decide(const PolicyView& view) const override;
  DraftRule draft_rule() const override { return {.max_words = 1}; }
  bool needs_attention() const override { return true; }
  bool KeepsToken(const PolicyView& view, int64_t attended) const override;
  size_t AcceptWords(const PolicyView& view, std::span<const Draft> drafts) const override;
  std::string name() const override;

 private:
  const int64_t last_words_;
};

// The source word, from 1, that got most of the attention of a row; the first of equals.
//   attention: of the visible source tokens, [E(c)].
//   word_ends: E(0) = 0, E(1) .. E(c), [c + 1], c >= 1.
// A row without attention, all of whose heads were skipped, counts as looking at word c: there is
// no reason to write.
int64_t MostAttendedWord(std::span<const float> attention, std::span<const int32_t> word_ends);

// What ParsePolicy() understands, for help texts and errors.
std::string_view KnownPolicies();

// Errors: InvalidArgument that lists what is known.
absl::StatusOr<std::unique_ptr<const Policy>> ParsePolicy(std::string_view text);

}  // namespace dragoman::model
