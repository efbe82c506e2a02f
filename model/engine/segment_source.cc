#include "model/engine/segment_source.h"

#include <algorithm>

#include "base/check.h"

namespace dragoman::model {

void SegmentSource::Reset() {
  tokens_.clear();
  unit_ends_.assign(1, 0);
  source_tokens_ = 0;
  holds_word_part_ = false;
  cut_ = SegmentCut::kNone;
  client_id_ = 0;
}

void SegmentSource::AddWord(std::span<const TokenId> tokens, bool complete) {
  DRAGOMAN_CHECK(!closed() && !tokens.empty());
  DRAGOMAN_CHECK(static_cast<int32_t>(tokens.size()) <= room_left());
  tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
  source_tokens_ += static_cast<int32_t>(tokens.size());
  unit_ends_.push_back(source_tokens_);
  holds_word_part_ = !complete;
}

void SegmentSource::Close(std::span<const TokenId> marker, SegmentCut cut, uint32_t client_id) {
  DRAGOMAN_CHECK(!closed() && cut != SegmentCut::kNone);
  tokens_.insert(tokens_.end(), marker.begin(), marker.end());
  unit_ends_.push_back(static_cast<int32_t>(tokens_.size()));
  cut_ = cut;
  client_id_ = client_id;
}

int32_t SegmentSource::CompleteWords(int32_t units) const {
  return holds_word_part_ ? 0 : std::min(units, words());
}

}  // namespace dragoman::model
