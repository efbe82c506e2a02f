// What the engine tells about a sequence, in order. Text does not appear here: target words are
// token ids, and the receiver detokenises them.
#pragma once

#include <cstdint>
#include <variant>
#include <vector>

#include "base/status.h"
#include "model/api/model_config.h"

namespace dragoman::model {

using SequenceId = int64_t;

// Why a segment was closed. The first four are cuts of the source, the last ones guards.
enum class SegmentCut {
  kNone,
  kBoundary,    // punctuation or blank line
  kClient,      // EndSegment()
  kFinish,      // no more source
  kLength,      // word limit of the segmenter
  kSourceFull,  // cut_source: side A reached the position limit
};
// Guards that ended or bent the target of a segment (streaming.md sections 2, 6).
enum class TargetGuard {
  kNone,
  kTargetFull,   // cut_target: side B reached the position limit, EOS forced
  kTooLong,      // m > 2 n + 20 tokens
  kTooFarAhead,  // before the end of source: target words > c + 20 (a READ is forced; not an end)
  kWordTooLong,  // a word of more than 24 tokens was closed
  kLoop,         // the same g-gram three times in a row over 12 or more tokens
};

// One committed target word. It never changes and never grows.
struct WordCommitted {
  uint32_t segment = 0;              // 1, 2, 3 ... per sequence
  uint32_t word = 0;                 // 1-based in the segment
  std::vector<TokenId> tokens;       // first one is a word start, except possibly for word 1
  uint32_t source_words_read = 0;    // words of this segment visible when it was closed: min(c, W)
  uint32_t sequence_words_read = 0;  // the same, counted over the whole sequence
  bool forced = false;               // by max_lag_words, against the policy or the model
};

// Tokens of the word that is being written, or of the draft that is not final yet; replaces the
// former ones. Sent only when the sequence asked for partial words.
struct PartialWord {
  uint32_t segment = 0;
  std::vector<TokenId> tokens;
};

struct SegmentClosed {
  uint32_t segment = 0;
  SegmentCut cut = SegmentCut::kNone;
  TargetGuard guard = TargetGuard::kNone;  // the guard that ended it, if any
  uint32_t client_id = 0;                  // of EndSegment()
  uint32_t source_words = 0;               // of this segment
  uint32_t sequence_words_end = 0;         // source words of the sequence up to its end
  uint32_t source_tokens = 0;
  uint32_t target_words = 0;
  uint32_t target_tokens = 0;
  uint32_t decode_rows = 0;       // target rows fed, probes included
  uint32_t probe_rows = 0;        // rows that were dropped again, of drafts too
  uint32_t wrong_guess_rows = 0;  // fed beyond decode_rows to check a former draft, and dropped
  uint32_t modules_skipped = 0;   // by the rows of this segment
  uint32_t forced_words = 0;      // by max_lag_words
  uint32_t eos_waits = 0;         // EOS before the end of source: READ instead
  uint32_t kv_pages_peak = 0;
  int64_t compute_ns = 0;  // this sequence's share of its steps' time
};

// All that could be written with the source appended before Flush() has been written.
struct FlushReached {
  uint32_t flush_id = 0;
};
// EndSegment() found no open segment.
struct NothingToEnd {
  uint32_t client_id = 0;
};
// Source that is in the KV cache now; at most one per step and sequence.
struct SourceEncoded {
  uint32_t sequence_words = 0;
  uint32_t sequence_tokens = 0;
};
// Exactly once, the last event. OK: finished and everything translated. Cancelled: Remove().
// Internal: logits that are not finite (COMPUTE_FAULT).
struct SequenceEnded {
  absl::Status status;
};

using SequenceEvent = std::variant<WordCommitted, PartialWord, SegmentClosed, FlushReached,
                                   NothingToEnd, SourceEncoded, SequenceEnded>;

// Called on the engine thread; must only enqueue and return.
class SequenceSink {
 public:
  virtual ~SequenceSink() = default;
  virtual void OnEvent(SequenceId sequence, SequenceEvent event) = 0;
};

}  // namespace dragoman::model
