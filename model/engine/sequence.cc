#include "model/engine/sequence.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/status_macros.h"
#include "model/kv_cache/kv_cache.h"

namespace dragoman::model {
namespace {

// phi + h + m + 1 <= C, and the rows of side B.
int32_t MaxTargetTokens(const StreamLayout& layout, const SequenceLimits& limits) {
  const auto header = static_cast<int32_t>(layout.target_header.size());
  const int32_t by_position = layout.max_positions - layout.phi - 1;
  return std::min(limits.target_rows, by_position) - header;
}

// p + n + e <= C, and the rows of side A.
int32_t MaxSourceTokens(const StreamLayout& layout, const SequenceLimits& limits) {
  return std::min(limits.source_rows, layout.max_positions) -
         static_cast<int32_t>(layout.prompt.size() + layout.source_end.size());
}

uint32_t PagesOf(int32_t rows) { return static_cast<uint32_t>((rows + kPageRows - 1) / kPageRows); }

absl::Status CheckTokens(const char* name, const std::vector<TokenId>& tokens, size_t vocab) {
  if (tokens.empty())
    return absl::InvalidArgumentError(absl::StrCat("layout: ", name, " is empty"));
  for (const TokenId token : tokens) {
    if (token < 0 || static_cast<size_t>(token) >= vocab) {
      return absl::InvalidArgumentError(
          absl::StrCat("layout: ", name, " has token ", token, ", vocabulary ", vocab));
    }
  }
  return absl::OkStatus();
}

}  // namespace

Sequence::Sequence(SequenceId id, SequenceOptions options, const SequenceLimits& limits,
                   const GreedySampler* sampler, SequenceSink* sink, EngineObserver* observer)
    : id_(id),
      options_(std::move(options)),
      limits_(limits),
      sampler_(sampler),
      sink_(sink),
      observer_(observer),
      max_target_tokens_(MaxTargetTokens(options_.layout, limits)),
      source_(MaxSourceTokens(options_.layout, limits)) {
  target_.reserve(max_target_tokens_);
}

absl::Status Sequence::CheckLayout(const StreamLayout& layout, const SequenceLimits& limits,
                                   const TokenTraits& traits) {
  const size_t vocab = traits.flags.size();
  DRAGOMAN_RETURN_IF_ERROR(CheckTokens("prompt", layout.prompt, vocab));
  DRAGOMAN_RETURN_IF_ERROR(CheckTokens("source_end", layout.source_end, vocab));
  DRAGOMAN_RETURN_IF_ERROR(CheckTokens("target_header", layout.target_header, vocab));
  DRAGOMAN_RETURN_IF_ERROR(CheckTokens("end_of_target", {layout.end_of_target}, vocab));
  if (traits.IsSuppressed(layout.end_of_target)) {
    return absl::InvalidArgumentError(
        absl::StrCat("layout: end_of_target ", layout.end_of_target, " is a suppressed token"));
  }
  if (layout.phi < 0) {
    return absl::InvalidArgumentError(absl::StrCat("layout: phi ", layout.phi, ", at least 0"));
  }
  if (MaxSourceTokens(layout, limits) < 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        "layout: prompt ", layout.prompt.size(), " and source_end ", layout.source_end.size(),
        " leave no source row of ", std::min(limits.source_rows, layout.max_positions)));
  }
  if (MaxTargetTokens(layout, limits) < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("layout: phi ", layout.phi, " and target_header ", layout.target_header.size(),
                     " leave no target token of ", limits.target_rows, " rows and ",
                     layout.max_positions, " positions"));
  }
  return absl::OkStatus();
}

// ---------------------------------------------------------------- commands

void Sequence::Append(std::vector<SourceWord> words) {
  for (SourceWord& word : words) items_.push_back({ItemKind::kWord, std::move(word)});
  Pump();
}

void Sequence::Finish() {
  items_.push_back({ItemKind::kFinish, {}});
  Pump();
}

void Sequence::Flush(uint32_t flush_id) {
  items_.push_back({ItemKind::kFlush, {}, flush_id});
  Pump();
}

void Sequence::EndSegment(uint32_t client_id) {
  items_.push_back({ItemKind::kEndSegment, {}, client_id});
  Pump();
}

// ---------------------------------------------------------------- source side

void Sequence::Pump() {
  TakeItems();
  Settle();
}

void Sequence::TakeItems() {
  while (!items_.empty() && !done_ && TakeFront()) {
  }
}

// Deals with the first item; returns false when it has to wait.
bool Sequence::TakeFront() {
  // Words for the next segment wait as words until this one is written.
  if (in_segment_ && source_.closed()) return false;
  Item& item = items_.front();
  switch (item.kind) {
    case ItemKind::kWord:
      return TakeWord();
    case ItemKind::kEndSegment:
      if (in_segment_) {
        CloseSource(SegmentCut::kClient, item.mark_id);
      } else {
        Emit(NothingToEnd{item.mark_id});
      }
      break;
    case ItemKind::kFlush:
      if (in_segment_) {
        // All that can be written has been written when the loop asks for a unit that the words
        // before the mark do not have.
        Settle();
        if (!blocked_ || visible_ < source_.units()) return false;
      }
      Emit(FlushReached{item.mark_id});
      break;
    case ItemKind::kFinish:
      if (in_segment_) {
        CloseSource(SegmentCut::kFinish, 0);
        return false;  // stays in front and is met again after the segment
      }
      done_ = true;
      break;
  }
  ++released_;
  items_.pop_front();
  return true;
}

bool Sequence::TakeWord() {
  const SourceWord& word = items_.front().word;
  const std::span<const TokenId> rest = std::span(word.tokens).subspan(front_tokens_taken_);
  if (!in_segment_) BeginSegment();
  if (static_cast<int32_t>(rest.size()) > source_.room_left()) {
    // Full: close at the last complete word. A word that fills a segment alone is cut instead.
    if (source_.words() == 0) {
      const auto part = static_cast<size_t>(source_.room_left());
      source_.AddWord(rest.first(part), /*complete=*/false);
      front_tokens_taken_ += part;
    }
    CloseSource(SegmentCut::kSourceFull, 0);
    return false;
  }
  source_.AddWord(rest, /*complete=*/true);
  if (word.cut != SegmentCut::kNone) CloseSource(word.cut, 0);
  front_tokens_taken_ = 0;
  items_.pop_front();
  return true;
}

void Sequence::BeginSegment() {
  in_segment_ = true;
  ++segment_;
  source_.Reset();
  encoded_units_ = 0;
  visible_ = 0;
  next_word_ = 1;
  open_ = need_read_ = boundary_lock_ = blocked_ = must_write_ = forced_ = drafting_ = false;
  draft_visible_ = 0;
  target_.clear();
  word_.clear();
  drafts_.clear();
  guess_.clear();
  fired_guards_ = 0;
  counters_ = SegmentClosed{.segment = segment_};
}

void Sequence::CloseSource(SegmentCut cut, uint32_t client_id) {
  source_.Close(options_.layout.source_end, cut, client_id);
}

SegmentClosed Sequence::MakeSegmentClosed() const {
  SegmentClosed closed = counters_;
  closed.client_id = source_.client_id();
  closed.source_words = static_cast<uint32_t>(source_.words());
  closed.sequence_words_end =
      words_before_ + static_cast<uint32_t>(source_.CompleteWords(source_.words()));
  closed.source_tokens = static_cast<uint32_t>(source_.source_tokens());
  closed.target_words = static_cast<uint32_t>(next_word_ - 1);
  closed.target_tokens = static_cast<uint32_t>(target_.size() - word_.size());
  return closed;
}

void Sequence::FinishSegment(TargetGuard guard) {
  SegmentClosed closed = MakeSegmentClosed();
  closed.cut = source_.cut();
  closed.guard = guard;
  words_before_ = closed.sequence_words_end;
  tokens_before_ += closed.source_tokens;
  // carry=none: the prompt and the header rows that see no source stay for the next segment.
  cached_source_ = std::min(cached_source_, prompt_rows());
  cached_target_ = std::min(cached_target_, header_rows() - 1);
  in_segment_ = false;
  if (observer_ != nullptr) observer_->OnSegmentClosed(closed);
  Emit(closed);
}

void Sequence::AbandonSegment() {
  if (!in_segment_) return;
  in_segment_ = false;
  const SegmentClosed closed = MakeSegmentClosed();
  if (observer_ != nullptr) observer_->OnSegmentClosed(closed);
  Emit(closed);
}

// ---------------------------------------------------------------- rows

RowDemand Sequence::Demand() const {
  RowDemand demand{.sequence = id_};
  if (paused_ || done_) return demand;
  const auto segment_tokens = in_segment_ ? static_cast<int32_t>(source_.tokens().size()) : 0;
  demand.source_rows = prompt_rows() + segment_tokens - cached_source_;
  if (!in_segment_ || blocked_) return demand;
  demand.target_rows =
      header_rows() + static_cast<int32_t>(target_.size() + guess_.size()) - cached_target_;
  demand.source_needed = std::max(0, prompt_rows() + source_.EndOfUnit(visible_) - cached_source_);
  return demand;
}

int32_t Sequence::AppendRows(int32_t source_rows, int32_t target_rows, StreamId stream,
                             StepBatch* batch) const {
  for (int32_t index = cached_source_; index < cached_source_ + source_rows; ++index) {
    const TokenId token = index < prompt_rows() ? options_.layout.prompt[index]
                                                : source_.tokens()[index - prompt_rows()];
    batch->rows.push_back(
        {.token = token,
         .stream = stream,
         .side = Side::kSource,
         .position = index,
         .group = options_.routed ? GroupOfSourceRow(index, prompt_rows()) : RowGroup::kForced,
         .skip_offset = options_.skip_offset});
  }
  const int32_t chain_end = header_rows() + static_cast<int32_t>(target_.size());
  int32_t logits_rows = 0;
  for (int32_t index = cached_target_; index < cached_target_ + target_rows; ++index) {
    const TokenId token = index < header_rows() ? options_.layout.target_header[index]
                          : index < chain_end   ? target_[index - header_rows()]
                                                : guess_[index - chain_end];
    const bool want_logits = index >= chain_end - 1;
    const bool want_attention = want_logits && !ended() && options_.policy->needs_attention();
    logits_rows += want_logits;
    // Header rows before the last one see no source, so that they can be kept between segments.
    const int32_t src_vis = index < header_rows() - 1 ? 0 : source_.EndOfUnit(visible_);
    batch->rows.push_back(
        {.token = token,
         .stream = stream,
         .side = Side::kTarget,
         .position = options_.layout.phi + index,
         .src_vis = src_vis,
         .want_logits = want_logits,
         .group = options_.routed ? GroupOfTargetRow(index, header_rows()) : RowGroup::kForced,
         .skip_offset = options_.skip_offset,
         .want_attention = want_attention});
  }
  return logits_rows;
}

void Sequence::RowsFed(int32_t source_rows, int32_t target_rows, int64_t compute_ns,
                       uint32_t modules_skipped) {
  // Guessed rows count as decoded once they are confirmed.
  const int32_t chain_rows = header_rows() + static_cast<int32_t>(target_.size()) - cached_target_;
  cached_source_ += source_rows;
  cached_target_ += target_rows;
  if (!in_segment_) return;  // the prompt, before any word
  counters_.decode_rows += static_cast<uint32_t>(std::min(target_rows, std::max(chain_rows, 0)));
  counters_.compute_ns += compute_ns;
  counters_.modules_skipped += modules_skipped;
  counters_.kv_pages_peak =
      std::max(counters_.kv_pages_peak, PagesOf(cached_source_) + PagesOf(cached_target_));
  const int32_t words_before_step = source_.CompleteWords(encoded_units_);
  while (encoded_units_ < source_.units() &&
         prompt_rows() + source_.EndOfUnit(encoded_units_ + 1) <= cached_source_) {
    ++encoded_units_;
  }
  const int32_t words = source_.CompleteWords(encoded_units_);
  if (words > words_before_step) {
    released_ += static_cast<size_t>(words - words_before_step);
    Emit(SourceEncoded{words_before_ + static_cast<uint32_t>(words),
                       tokens_before_ + static_cast<uint32_t>(source_.EndOfUnit(words))});
  }
  // When logits follow, they were computed with the visibility of before: nothing may move yet.
  const bool logits_follow =
      target_rows > 0 && cached_target_ >= header_rows() + static_cast<int32_t>(target_.size());
  if (!logits_follow) Pump();
}

size_t Sequence::TakeReleased() { return std::exchange(released_, 0); }

// ---------------------------------------------------------------- target side

PolicyView Sequence::View() const {
  return {.next_word = next_word_,
          .visible_units = visible_,
          .ended = ended(),
          .units_since_draft = visible_ - draft_visible_};
}

// policy.allows(j, c), with the bound on the lag and the guard on words ahead.
Decision Sequence::DecideAtBorder() {
  must_write_ = forced_ = false;
  if (ended()) return Decision::kWrite;
  Decision decision = options_.policy->Decide(View());
  if (options_.max_lag_words > 0 && visible_ - (next_word_ - 1) > options_.max_lag_words) {
    must_write_ = true;
    forced_ = decision != Decision::kWrite;
    decision = Decision::kWrite;
  }
  if (decision == Decision::kRead) return decision;
  if (WordsAheadAllowed(limits_.stop, next_word_, visible_)) return decision;
  FireGuard(TargetGuard::kTooFarAhead);
  return Decision::kRead;
}

// READs what the loop asks for, until a target row is to be fed or a unit is missing.
void Sequence::Settle() {
  if (!in_segment_) return;
  if (options_.eager_visibility && encoded_units_ > visible_) {
    visible_ = encoded_units_;
    need_read_ = false;
  }
  blocked_ = false;
  while (!open_ && !drafting_) {
    if (!need_read_) {
      const Decision decision = DecideAtBorder();
      if (decision == Decision::kDraft) BeginDraft();
      if (decision != Decision::kRead) return;
    }
    // An eager sequence sees what is encoded, so it waits for the rows; a strict one sees what the
    // unit clock says, and its target row waits for the rows instead.
    const int32_t available = options_.eager_visibility ? encoded_units_ : source_.units();
    if (visible_ >= available) {
      blocked_ = true;
      return;
    }
    ++visible_;
    need_read_ = false;
  }
}

absl::StatusOr<bool> Sequence::TakeResult(const RowResult& row) {
  DRAGOMAN_CHECK(in_segment_ && !blocked_);
  // Guessed rows behind this one count as fed only when the token comes out that they are for.
  const int32_t guessed_rows =
      cached_target_ - header_rows() - static_cast<int32_t>(target_.size());
  cached_target_ -= guessed_rows;
  std::vector<TokenId> guess = std::exchange(guess_, {});
  DRAGOMAN_ASSIGN_OR_RETURN(const bool pushed, TakeToken(row));
  if (pushed && !guess.empty() && guess.front() == target_.back()) {
    guess.erase(guess.begin());
    guess_ = std::move(guess);
    if (guessed_rows > 0) {
      cached_target_ += guessed_rows;
      ++counters_.decode_rows;
      return true;
    }
  } else {
    counters_.wrong_guess_rows += static_cast<uint32_t>(guessed_rows);
  }
  Pump();
  return false;
}

absl::StatusOr<TokenId> Sequence::ChooseToken(std::span<const float> logits) {
  const TokenId end = options_.layout.end_of_target;
  const bool word_full = open_ && WordIsFull(limits_.stop, static_cast<int64_t>(word_.size()));
  DRAGOMAN_ASSIGN_OR_RETURN(TokenId token,
                            sampler_->Select(logits, end, boundary_lock_ || word_full));
  if (token == end && must_write_ && !open_) {
    forced_ = true;
    DRAGOMAN_ASSIGN_OR_RETURN(token, sampler_->SelectText(logits, end, boundary_lock_));
  }
  if (word_full) {
    DRAGOMAN_ASSIGN_OR_RETURN(const TokenId free_token, sampler_->Select(logits, end, false));
    if (free_token != token) FireGuard(TargetGuard::kWordTooLong);
  }
  return token;
}

// True when the token that the logits choose was appended to the target and its row is to be fed.
absl::StatusOr<bool> Sequence::TakeToken(const RowResult& row) {
  DRAGOMAN_ASSIGN_OR_RETURN(const TokenId token, ChooseToken(row.logits));
  if (drafting_) return TakeDraftToken(token, row);
  if (token == options_.layout.end_of_target) {
    TakeEnd(TargetGuard::kNone);
    return false;
  }
  if (open_ && sampler_->StartsWord(token)) {
    CloseWord();
    if (!PassBorder()) return false;
  }
  return AppendToken(token, row);
}

// As TakeToken(), for a token that does not end the word before it.
bool Sequence::AppendToken(TokenId token, const RowResult& row) {
  if (drafting_) return TakeDraftToken(token, row);
  const TargetGuard guard = EndingGuard(token);
  if (guard != TargetGuard::kNone) {
    FireGuard(guard);
    TakeEnd(guard);
    return false;
  }
  PushToken(token);
  if (options_.report_partial_words) Emit(PartialWord{segment_, word_});
  return true;
}

// After a word: may the token that starts the next one stay? Else its row was a probe, which saw
// too little source for the word that it predicts, and is dropped.
bool Sequence::PassBorder() {
  const Decision decision = DecideAtBorder();
  if (decision == Decision::kRead) {
    DropLastRow();
    boundary_lock_ = true;
    return false;
  }
  if (decision == Decision::kDraft) BeginDraft();
  return true;
}

void Sequence::PushToken(TokenId token) {
  target_.push_back(token);
  word_.push_back(token);
  open_ = true;
  boundary_lock_ = false;
}

// ---------------------------------------------------------------- drafts

void Sequence::BeginDraft() {
  drafting_ = true;
  draft_lock_ = boundary_lock_;
  draft_ = {};
  draft_visible_ = visible_;
}

// As TakeToken().
bool Sequence::TakeDraftToken(TokenId token, const RowResult& row) {
  const DraftRule rule = options_.policy->draft_rule();
  const TokenId end = options_.layout.end_of_target;
  auto& ends = draft_.word_ends;
  const bool starts_word = token != end && sampler_->StartsWord(token);
  if (token == end || (open_ && starts_word)) {
    // The end of an empty draft is judged like a word.
    if (draft_.tokens.empty()) LowerConfidence(token, row);
    if (ends.empty() || ends.back() < draft_.tokens.size()) ends.push_back(draft_.tokens.size());
    if (token == end || static_cast<int64_t>(ends.size()) >= rule.max_words) {
      return EndDraft(token, row);
    }
    word_.clear();
  }
  if (static_cast<int64_t>(draft_.tokens.size()) >= rule.max_tokens) return EndDraft(end, row);
  const TargetGuard guard = EndingGuard(token);
  if (guard != TargetGuard::kNone) {
    // A forced end of the target, which closes the word.
    FireGuard(guard);
    if (ends.empty() || ends.back() < draft_.tokens.size()) ends.push_back(draft_.tokens.size());
    return EndDraft(end, row);
  }
  if (!PolicyKeeps(row)) return EndDraft(token, row);
  LowerConfidence(token, row);
  draft_.tokens.push_back(token);
  PushToken(token);
  return true;
}

// Whether the policy lets a token of this row stay in the draft.
bool Sequence::PolicyKeeps(const RowResult& row) const {
  if (ended() || !options_.policy->needs_attention()) return true;
  const std::span<const int32_t> ends = source_.UnitEnds(visible_);
  DRAGOMAN_CHECK(row.attention.size() == static_cast<size_t>(ends.back()));
  return options_.policy->KeepsToken(View(), MostAttendedWord(row.attention, ends));
}

void Sequence::LowerConfidence(TokenId token, const RowResult& row) {
  if (!options_.policy->draft_rule().needs_confidence) return;
  draft_.confidence = std::min(draft_.confidence, GreedySampler::Probability(row.logits, token));
}

// Commits what the policy accepts and drops the rest. `next`: the token that begins the word behind
// the draft, from `row`, or the end of the target when there is none. As TakeToken().
bool Sequence::EndDraft(TokenId next, const RowResult& row) {
  const size_t before = target_.size() - draft_.tokens.size();
  drafts_.push_back(std::move(draft_));
  const Draft& draft = drafts_.back();
  const size_t accepted = options_.policy->AcceptWords(View(), drafts_);
  drafting_ = open_ = false;
  word_.clear();
  size_t kept = 0;
  for (size_t w = 0; w < accepted && draft.word_ends[w] > kept; ++w) {
    if (!WordsAheadAllowed(limits_.stop, next_word_, visible_)) {
      FireGuard(TargetGuard::kTooFarAhead);
      break;
    }
    word_.assign(draft.tokens.begin() + static_cast<int64_t>(kept),
                 draft.tokens.begin() + static_cast<int64_t>(draft.word_ends[w]));
    kept = draft.word_ends[w];
    CloseWord();
  }
  const bool all = accepted > 0 && kept == draft.tokens.size();
  if (all && next != options_.layout.end_of_target) {
    drafts_.clear();
    return PassBorder() && AppendToken(next, row);
  }
  if (next == options_.layout.end_of_target && (all || draft.tokens.empty())) ++counters_.eos_waits;
  guess_.assign(draft.tokens.begin() + static_cast<int64_t>(kept), draft.tokens.end());
  TruncateTarget(before + kept);
  boundary_lock_ = draft_lock_ || all || !target_.empty();
  need_read_ = true;
  if (options_.report_partial_words) Emit(PartialWord{segment_, guess_});
  if (!options_.verify_drafts) guess_.clear();
  // The next drafts are compared with these from the new end of the committed text on.
  const size_t remembered = options_.policy->draft_rule().hypotheses - 1;
  if (drafts_.size() > remembered) {
    drafts_.erase(drafts_.begin(), drafts_.end() - static_cast<int64_t>(remembered));
  }
  for (Draft& former : drafts_) {
    former.tokens.erase(former.tokens.begin(), former.tokens.begin() + static_cast<int64_t>(kept));
    former.word_ends.clear();
  }
  return false;
}

// Keeps `tokens` tokens. The row of the last one, or of the header, is to be fed again: what it
// predicts may see more source by then.
void Sequence::TruncateTarget(size_t tokens) {
  target_.resize(tokens);
  const int32_t rows = header_rows() + static_cast<int32_t>(tokens) - 1;
  counters_.probe_rows += static_cast<uint32_t>(cached_target_ - rows);
  cached_target_ = rows;
}

// The guard that forces the end of the target instead of `token`, or kNone.
TargetGuard Sequence::EndingGuard(TokenId token) const {
  const auto tokens = static_cast<int64_t>(target_.size()) + 1;
  if (tokens > max_target_tokens_) return TargetGuard::kTargetFull;
  // n is the length of the whole source, so it is not known before the end.
  if (ended() && !TargetLengthAllowed(limits_.stop, source_.source_tokens(), tokens)) {
    return TargetGuard::kTooLong;
  }
  return ClosesLoop(target_, token) ? TargetGuard::kLoop : TargetGuard::kNone;
}

// The end of the target, predicted or forced by `guard`. Before the end of the source it means
// "nothing to say yet": READ.
void Sequence::TakeEnd(TargetGuard guard) {
  const bool finished = ended();
  if (!finished) DropLastRow();
  if (open_) CloseWord();
  if (finished) {
    FinishSegment(guard);
    return;
  }
  ++counters_.eos_waits;
  boundary_lock_ = true;
  need_read_ = true;
}

void Sequence::CloseWord() {
  const auto read = static_cast<uint32_t>(std::min(visible_, source_.words()));
  Emit(WordCommitted{
      .segment = segment_,
      .word = static_cast<uint32_t>(next_word_),
      .tokens = word_,
      .source_words_read = read,
      .sequence_words_read = words_before_ + static_cast<uint32_t>(CompleteWordsRead()),
      .forced = forced_});
  counters_.forced_words += forced_;
  word_.clear();
  open_ = forced_ = must_write_ = false;
  ++next_word_;
}

void Sequence::DropLastRow() {
  --cached_target_;
  ++counters_.probe_rows;
}

// Counted once per segment and kind: a full side or a loop would speak again for every unit.
void Sequence::FireGuard(TargetGuard guard) {
  const uint32_t bit = 1u << static_cast<uint32_t>(guard);
  if ((fired_guards_ & bit) != 0) return;
  fired_guards_ |= bit;
  if (observer_ != nullptr) observer_->OnGuard(guard);
}

void Sequence::Emit(SequenceEvent event) { sink_->OnEvent(id_, std::move(event)); }

SequenceState Sequence::state() const {
  if (done_) return SequenceState::kDone;
  if (!in_segment_ || blocked_) return SequenceState::kReading;
  return ended() ? SequenceState::kDraining : SequenceState::kWriting;
}

}  // namespace dragoman::model
