#include "server/session/segment_writer.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace dragoman::server {
namespace {

FinalReason ReasonOf(model::SegmentCut cut) {
  switch (cut) {
    case model::SegmentCut::kBoundary:
      return FinalReason::kBoundary;
    case model::SegmentCut::kClient:
      return FinalReason::kClient;
    case model::SegmentCut::kFinish:
      return FinalReason::kHalfClose;
    case model::SegmentCut::kLength:
    case model::SegmentCut::kSourceFull:
      return FinalReason::kLength;
    case model::SegmentCut::kNone:
      return FinalReason::kSessionEnd;
  }
  return FinalReason::kSessionEnd;
}

}  // namespace

void SegmentWriter::CountTailChange(const std::string& stable, const std::string& unstable) {
  // What the reader sees after the stable text: before `unstable_`, now `stable` + `unstable`.
  const std::string shown = stable + unstable;
  const auto difference =
      std::mismatch(unstable_.begin(), unstable_.end(), shown.begin(), shown.end());
  const auto erased = static_cast<uint32_t>(unstable_.end() - difference.first);
  if (erased > 0) {
    ++tail_rewrites_;
    tail_bytes_erased_ += erased;
  }
}

DeltaEvent SegmentWriter::Write(const model::WordCommitted& word, SourcePosition read,
                                uint32_t emit_ms) {
  DRAGOMAN_CHECK(segment_ == 0 || segment_ == word.segment);
  segment_ = word.segment;
  DeltaEvent delta;
  delta.segment = segment_;
  delta.stable_offset = static_cast<uint32_t>(text_.size());
  delta.stable = detokenizer_.Push(word.tokens);
  delta.read = read;
  CountTailChange(delta.stable, "");
  unstable_.clear();
  const bool blank = !delta.stable.empty() && delta.stable.front() == ' ';
  text_ += delta.stable;
  target_tokens_ += static_cast<uint32_t>(word.tokens.size());
  words_.push_back({delta.stable_offset + (blank ? 1u : 0u), static_cast<uint32_t>(text_.size()),
                    read.words, emit_ms});
  delta.words.push_back(words_.back());
  return delta;
}

std::optional<DeltaEvent> SegmentWriter::ShowTail(const model::PartialWord& partial,
                                                  SourcePosition read) {
  DRAGOMAN_CHECK(segment_ == 0 || segment_ == partial.segment);
  std::string unstable = detokenizer_.Peek(partial.tokens);
  if (unstable == unstable_) return std::nullopt;
  segment_ = partial.segment;
  CountTailChange("", unstable);
  unstable_ = std::move(unstable);
  DeltaEvent delta;
  delta.segment = segment_;
  delta.stable_offset = static_cast<uint32_t>(text_.size());
  delta.unstable = unstable_;
  delta.read = read;
  return delta;
}

std::optional<DeltaEvent> SegmentWriter::FlushTail(SourcePosition read) {
  std::string tail = detokenizer_.Finish();
  if (tail.empty()) return std::nullopt;
  DeltaEvent delta;
  delta.segment = segment_;
  delta.stable_offset = static_cast<uint32_t>(text_.size());
  delta.stable = tail;
  delta.read = read;
  text_ += tail;
  return delta;
}

FinalEvent SegmentWriter::Close(const model::SegmentClosed& closed, SourcePosition end,
                                bool with_words) {
  DRAGOMAN_CHECK(segment_ == 0 || segment_ == closed.segment);
  FinalEvent final_event;
  final_event.segment = closed.segment;
  final_event.reason = ReasonOf(closed.cut);
  final_event.client_id = closed.client_id;
  final_event.source_begin = begin_;
  final_event.source_end = end;
  final_event.stats.source_tokens = closed.source_tokens;
  final_event.stats.target_tokens = target_tokens_;
  final_event.stats.decode_steps = closed.decode_rows;
  final_event.stats.modules_total = (closed.source_tokens + closed.decode_rows) * modules_per_row_;
  final_event.stats.modules_skipped = closed.modules_skipped;
  final_event.stats.compute_ms = static_cast<uint32_t>(closed.compute_ns / 1'000'000);
  final_event.stats.tail_rewrites = tail_rewrites_;
  final_event.stats.tail_bytes_erased = tail_bytes_erased_;
  final_event.stats.forced_writes = closed.forced_words;
  final_event.text = std::exchange(text_, {});
  std::vector<WordStamp> words = std::exchange(words_, {});
  if (with_words) final_event.words = std::move(words);
  segment_ = 0;
  unstable_.clear();
  target_tokens_ = tail_rewrites_ = tail_bytes_erased_ = 0;
  begin_ = end;
  return final_event;
}

}  // namespace dragoman::server
