// One open sequence as a state machine (streaming.md section 6): it takes source words and marks,
// says which rows it wants next, and turns logits into events. It touches no backbone and no clock;
// the engine moves rows and keeps the cache in step with the lengths that the sequence states.
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <utility>
#include <vector>

#include "base/status.h"
#include "model/api/step_batch.h"
#include "model/decode/sampler.h"
#include "model/decode/stop_rules.h"
#include "model/engine/engine.h"
#include "model/engine/engine_observer.h"
#include "model/engine/segment_source.h"
#include "model/engine/sequence_event.h"

namespace dragoman::model {

enum class SequenceState {
  kReading,   // needs a unit of source that is not there
  kWriting,   // has a target row to feed
  kDraining,  // the whole segment is visible; writes the rest
  kDone,      // everything is written
};

// Numbers that the engine fixes for a sequence.
struct SequenceLimits {
  int32_t source_rows = 0;  // rows that side A may hold
  int32_t target_rows = 0;  // rows that side B may hold
  StopLimits stop;
};

// Rows that a sequence can feed now. Target rows may be fed once `source_needed` of the source rows
// are in the cache, in the same step at the earliest.
struct RowDemand {
  SequenceId sequence = 0;
  int32_t source_rows = 0;
  int32_t target_rows = 0;
  int32_t source_needed = 0;
};

// What the backbone says about one target row.
struct RowResult {
  std::span<const float> logits;     // [vocab]
  std::span<const float> attention;  // [visible source tokens]; empty unless it was asked for
};

// Engine thread only.
class Sequence {
 public:
  // `sampler`, `sink` and `observer` (may be null) must outlive the sequence. The layout must have
  // passed CheckLayout().
  Sequence(SequenceId id, SequenceOptions options, const SequenceLimits& limits,
           const GreedySampler* sampler, SequenceSink* sink, EngineObserver* observer);

  // Can a segment of one token be translated with this layout? Errors: InvalidArgument.
  static absl::Status CheckLayout(const StreamLayout& layout, const SequenceLimits& limits,
                                  const TokenTraits& traits);

  SequenceId id() const { return id_; }
  const StreamLayout& layout() const { return options_.layout; }

  // Commands, in the order of the client.
  void Append(std::vector<SourceWord> words);
  void Finish();
  void Flush(uint32_t flush_id);
  void EndSegment(uint32_t client_id);
  void set_paused(bool paused) { paused_ = paused; }

  // What could be fed in the next step; nothing when paused or done.
  RowDemand Demand() const;
  // Appends the next rows to `batch`, source rows first. Returns how many of them ask for logits:
  // the last row of the target chain, and rows of guessed tokens behind it.
  int32_t AppendRows(int32_t source_rows, int32_t target_rows, StreamId stream,
                     StepBatch* batch) const;
  // The rows are in the cache. `compute_ns`: this sequence's share of the step;
  // `modules_skipped`: what its rows did not execute.
  void RowsFed(int32_t source_rows, int32_t target_rows, int64_t compute_ns,
               uint32_t modules_skipped);
  // The result of the next row that asked for logits. True when the row of the token that they
  // chose was fed too, as a guess: its result is to follow. When false the results left are to be
  // dropped. Errors: Internal when logits are not finite; the sequence is then to be dropped.
  absl::StatusOr<bool> TakeResult(const RowResult& row);
  // Sends SegmentClosed with cut kNone if a segment has begun.
  void AbandonSegment();
  // Sends the last event. The sequence is not to be used after it.
  void EmitEnded(absl::Status status) { Emit(SequenceEnded{std::move(status)}); }

  // Rows that the cache should hold: after TakeResult() they may be fewer than were fed.
  int32_t cached_source_rows() const { return cached_source_; }
  int32_t cached_target_rows() const { return cached_target_; }
  // Queued words and marks that were dealt with since the last call.
  size_t TakeReleased();
  bool done() const { return done_; }
  SequenceState state() const;

 private:
  enum class ItemKind { kWord, kFlush, kEndSegment, kFinish };
  struct Item {
    ItemKind kind;
    SourceWord word;
    uint32_t mark_id = 0;
  };

  // Source side.
  void Pump();
  void TakeItems();
  bool TakeFront();
  bool TakeWord();
  void BeginSegment();
  void CloseSource(SegmentCut cut, uint32_t client_id);
  void FinishSegment(TargetGuard guard);

  // Target side.
  bool ended() const { return source_.closed() && visible_ == source_.units(); }
  PolicyView View() const;
  Decision DecideAtBorder();
  void Settle();
  absl::StatusOr<TokenId> ChooseToken(std::span<const float> logits);
  absl::StatusOr<bool> TakeToken(const RowResult& row);
  bool AppendToken(TokenId token, const RowResult& row);
  bool PassBorder();
  void PushToken(TokenId token);
  TargetGuard EndingGuard(TokenId token) const;
  void TakeEnd(TargetGuard guard);
  void BeginDraft();
  bool TakeDraftToken(TokenId token, const RowResult& row);
  bool PolicyKeeps(const RowResult& row) const;
  void LowerConfidence(TokenId token, const RowResult& row);
  bool EndDraft(TokenId next, const RowResult& row);
  void TruncateTarget(size_t tokens);
  void CloseWord();
  void DropLastRow();
  void FireGuard(TargetGuard guard);
  int32_t header_rows() const { return static_cast<int32_t>(options_.layout.target_header.size()); }
  int32_t prompt_rows() const { return static_cast<int32_t>(options_.layout.prompt.size()); }
  int32_t CompleteWordsRead() const { return source_.CompleteWords(visible_); }
  void Emit(SequenceEvent event);
  SegmentClosed MakeSegmentClosed() const;

  const SequenceId id_;
  const SequenceOptions options_;
  const SequenceLimits limits_;
  const GreedySampler* const sampler_;
  SequenceSink* const sink_;
  EngineObserver* const observer_;
  const int32_t max_target_tokens_;

  // Of the whole sequence.
  std::deque<Item> items_;         // words and marks that no segment has taken yet
  size_t front_tokens_taken_ = 0;  // of a front word that is spread over several segments
  size_t released_ = 0;
  bool paused_ = false;
  bool done_ = false;
  uint32_t segment_ = 0;
  uint32_t words_before_ = 0;   // source words of closed segments
  uint32_t tokens_before_ = 0;  // source tokens of closed segments
  int32_t cached_source_ = 0;
  int32_t cached_target_ = 0;

  // Of the open segment. Names in brackets are those of streaming.md section 6.
  SegmentSource source_;
  int64_t next_word_ = 1;  // j
  int32_t encoded_units_ = 0;
  int32_t visible_ = 0;        // c
  int32_t draft_visible_ = 0;  // c of the last draft
  uint32_t fired_guards_ = 0;  // bit per TargetGuard
  bool in_segment_ = false;
  bool open_ = false;           // word j has tokens
  bool need_read_ = false;      // need
  bool boundary_lock_ = false;  // lock
  bool must_write_ = false;     // the lag has reached its bound
  bool forced_ = false;         // word j is written because of it
  bool blocked_ = false;        // READ asked for, but there is no such unit
  // While drafting, target_ ends with the tokens of the draft and word_ holds those of its last
  // word.
  bool drafting_ = false;
  bool draft_lock_ = false;      // boundary_lock_ when the draft began
  std::vector<TokenId> target_;  // y_1..y_m; the last one may not have been fed yet
  std::vector<TokenId> word_;    // tokens of word j
  Draft draft_;
  std::vector<Draft> drafts_;  // former ones of the same committed text, and the newest
  // Tokens that target_ is likely to go on with. Their rows are fed behind the chain; rows beyond
  // the chain in the cache are theirs.
  std::vector<TokenId> guess_;
  SegmentClosed counters_;  // decode_rows and so on
};

}  // namespace dragoman::model
