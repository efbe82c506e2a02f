// The source of one segment as tokens and units (streaming.md section 1): its words, then the
// end-of-source marker as unit W+1 once the segment is closed. No cache, no policy.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/api/model_config.h"
#include "model/engine/sequence_event.h"

namespace dragoman::model {

// One thread only.
class SegmentSource {
 public:
  // `room`: source tokens that fit beside prompt and marker, at least 1.
  explicit SegmentSource(int32_t room) : room_(room) { Reset(); }

  // Begins a new segment; keeps its memory.
  void Reset();
  // Tokens that still fit before the marker.
  int32_t room_left() const { return room_ - source_tokens_; }
  // Adds a word as one unit. It must fit. `complete` is false for the first part of a word that no
  // segment can hold as a whole; such a part is the only unit of its segment.
  void AddWord(std::span<const TokenId> tokens, bool complete);
  // Adds the marker. A closed segment takes no more words.
  void Close(std::span<const TokenId> marker, SegmentCut cut, uint32_t client_id);

  bool closed() const { return cut_ != SegmentCut::kNone; }
  SegmentCut cut() const { return cut_; }
  uint32_t client_id() const { return client_id_; }
  // Units that exist: words, and the marker once closed.
  int32_t units() const { return static_cast<int32_t>(unit_ends_.size()) - 1; }
  int32_t words() const { return closed() ? units() - 1 : units(); }
  // Words among the first `units` units that are complete words of the sequence.
  int32_t CompleteWords(int32_t units) const;
  // E(u): tokens in units 1..u.
  int32_t EndOfUnit(int32_t unit) const { return unit_ends_[unit]; }
  // E(0) .. E(unit), [unit + 1].
  std::span<const int32_t> UnitEnds(int32_t unit) const {
    return std::span(unit_ends_).first(static_cast<size_t>(unit) + 1);
  }
  // Words and marker. [E(units())]
  const std::vector<TokenId>& tokens() const { return tokens_; }
  int32_t source_tokens() const { return source_tokens_; }  // n, without the marker

 private:
  const int32_t room_;
  std::vector<TokenId> tokens_;
  std::vector<int32_t> unit_ends_;  // [units + 1], first one 0
  int32_t source_tokens_ = 0;
  bool holds_word_part_ = false;
  SegmentCut cut_ = SegmentCut::kNone;
  uint32_t client_id_ = 0;
};

}  // namespace dragoman::model
