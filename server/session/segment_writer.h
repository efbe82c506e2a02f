// Text of the segment that is being written: from committed tokens to stable text, word stamps,
// the unstable tail and the final. Keeps what the contract promises about one segment: the final is
// byte for byte what the deltas said. One thread only (the session's lock).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "model/engine/sequence_event.h"
#include "model/tokenizer/detokenizer.h"
#include "server/session/session_event.h"

namespace dragoman::server {

class SegmentWriter {
 public:
  // `modules_per_row`: attention and MLP modules that one row runs in a dense pass.
  SegmentWriter(const model::Tokenizer* tokenizer, uint32_t modules_per_row)
      : detokenizer_(tokenizer), modules_per_row_(modules_per_row) {}

  // A committed word. The delta clears the unstable tail. Its text may be empty: bytes that are no
  // whole character yet are held back.
  DeltaEvent Write(const model::WordCommitted& word, SourcePosition read, uint32_t emit_ms);
  // The word that is being written. nullopt when the tail did not change.
  std::optional<DeltaEvent> ShowTail(const model::PartialWord& partial, SourcePosition read);
  // A broken last character as a delta, if there is one. Call before Close().
  std::optional<DeltaEvent> FlushTail(SourcePosition read);
  // The final of the segment; the writer is then ready for the next one.
  FinalEvent Close(const model::SegmentClosed& closed, SourcePosition end, bool with_words);

  uint32_t open_segment() const { return segment_; }  // 0: none has text yet
  uint32_t words_written() const { return static_cast<uint32_t>(words_.size()); }
  const SourcePosition& begin() const { return begin_; }

 private:
  void CountTailChange(const std::string& stable, const std::string& unstable);

  model::Detokenizer detokenizer_;
  const uint32_t modules_per_row_;
  uint32_t segment_ = 0;
  std::string text_;
  std::string unstable_;
  std::vector<WordStamp> words_;
  uint32_t target_tokens_ = 0;
  uint32_t tail_rewrites_ = 0;
  uint32_t tail_bytes_erased_ = 0;
  SourcePosition begin_;
};

}  // namespace dragoman::server
