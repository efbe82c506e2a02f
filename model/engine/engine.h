// Continuous batching over open sequences: one engine thread plans, forwards, samples and asks the
// policies (streaming.md section 6). Commands arrive through a mailbox, results leave through the
// sink of each sequence. The engine knows no text, no network and no flags.
//
// Threads: Open, Append, Finish, Flush, EndSegment, Remove, SetPaused and stats() are thread-safe
// and never block on a step. The rest belongs to the engine thread. Tests drive RunOneStep()
// without a thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/status.h"
#include "model/api/backbone.h"
#include "model/api/stream_layout.h"
#include "model/decode/token_traits.h"
#include "model/engine/engine_observer.h"
#include "model/engine/sequence_event.h"
#include "model/policy/policy.h"

namespace dragoman::model {

// One source word, already encoded. `cut` other than kNone closes the segment after this word. A
// word with more tokens than a whole segment can hold is spread over several (kSourceFull).
struct SourceWord {
  std::vector<TokenId> tokens;
  SegmentCut cut = SegmentCut::kNone;
};

struct EngineOptions {
  size_t max_sequences = 64;     // slots
  size_t max_batch_rows = 512;   // rows of one step
  size_t max_source_rows = 256;  // of these, source prefill
  // Per sequence: words appended and not yet encoded, and flush and segment marks behind them.
  size_t max_pending_words = 4096;
  // Rows that one side of a sequence may hold; 0: the position limit of the backbone. Smaller
  // values save pages and cut long segments earlier.
  int32_t source_capacity = 0;
  int32_t target_capacity = 0;
  // Guards of streaming.md section 6.
  int32_t max_word_tokens = 24;
  int32_t max_words_ahead = 20;
  int32_t target_slack_tokens = 20;  // m <= 2 n + this
  // Heads whose attention says which source word a target token is about, for policies that need
  // it; empty: such policies are refused.
  std::vector<AttentionHead> attention_heads;
};

struct SequenceOptions {
  StreamLayout layout;
  std::shared_ptr<const Policy> policy;
  bool eager_visibility = false;  // default strict: text depends on source and options alone
  bool report_partial_words = false;
  // Before the end of the source, a word is written rather than let the source be more than this
  // many words ahead of the target, whatever the policy says; 0: no bound.
  int64_t max_lag_words = 0;
  // A draft that was not accepted is checked in one step against the next visibility instead of
  // being written anew, which gives the same tokens.
  bool verify_drafts = true;
  // Rows may skip modules as the backbone's gate rule says; fixed for the life of the sequence.
  bool routed = false;
  float skip_offset = 0;  // added to the thresholds; -10 to 10
};

struct EngineStats {
  size_t slots = 0;
  size_t slots_used = 0;
  CacheStats cache;
  uint64_t steps = 0;
  uint64_t source_tokens = 0;
  uint64_t target_tokens = 0;
};

class Engine {
 public:
  // `backbone` is owned. `clock`, `observer` (may be null) must outlive the engine.
  // Errors: InvalidArgument (options, a head that the model does not have, traits of another size
  // than the vocabulary, fewer pages in
  // the pool than PagesForSlots() asks for: a step of an admitted sequence never lacks a page).
  static absl::StatusOr<std::unique_ptr<Engine>> Create(const EngineOptions& options,
                                                        std::unique_ptr<Backbone> backbone,
                                                        TokenTraits traits, Clock* clock,
                                                        EngineObserver* observer);
  virtual ~Engine() = default;

  // Takes a slot. `sink` must outlive the SequenceEnded event, which comes after the slot and the
  // pages have been returned.
  // Errors: ResourceExhausted (no slot), InvalidArgument (layout), FailedPrecondition (a policy
  // that needs attention heads, and the options name none), Unavailable after Stop().
  virtual absl::StatusOr<SequenceId> Open(SequenceOptions options, SequenceSink* sink) = 0;
  // Adds source words. Errors: NotFound if the sequence has ended, FailedPrecondition after
  // Finish(), ResourceExhausted over max_pending_words, InvalidArgument (token id, empty word).
  virtual absl::Status Append(SequenceId id, std::vector<SourceWord> words) = 0;
  // No more source: the rest is written, then SequenceEnded(OK).
  // Errors: NotFound, FailedPrecondition when called twice.
  virtual absl::Status Finish(SequenceId id) = 0;
  // FlushReached follows once all that the words before it allow has been written. Words behind it
  // wait until then, so that the order of events does not depend on timing.
  // Errors: NotFound, FailedPrecondition after Finish(), ResourceExhausted over max_pending_words.
  virtual absl::Status Flush(SequenceId id, uint32_t flush_id) = 0;
  // Closes the segment of the word before it, or NothingToEnd follows. Errors: as Flush().
  virtual absl::Status EndSegment(SequenceId id, uint32_t client_id) = 0;
  // Drops the sequence before the next step; SequenceEnded(`reason`) follows. `close_open_segment`
  // first sends SegmentClosed (cut kNone) for a segment that has begun, with the words committed so
  // far. Sequences that end by a fault or by Stop() send it too.
  // Errors: NotFound if it has ended already.
  virtual absl::Status Remove(SequenceId id, absl::Status reason, bool close_open_segment) = 0;
  // A paused sequence keeps its slot and plans no rows.
  virtual absl::Status SetPaused(SequenceId id, bool paused) = 0;
  virtual EngineStats stats() const = 0;

  // One step: drains the mailbox, plans, forwards, samples. Returns false when there was nothing to
  // do. Only without a running thread.
  virtual bool RunOneStep() = 0;
  // Starts the engine thread. Stop() ends it after the step in progress; open sequences get
  // SequenceEnded(Unavailable). The destructor stops too.
  virtual void Start() = 0;
  virtual void Stop() = 0;

  virtual const Backbone& backbone() const = 0;
};

// Pages that a pool needs so that `slots` sequences can fill both sides. Capacities in rows.
size_t PagesForSlots(size_t slots, int32_t source_capacity, int32_t target_capacity);

}  // namespace dragoman::model
