// Feeds one stream of a backbone by hand and keeps what it fed. For tests.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "model/api/backbone.h"
#include "tests/conformance/group_case.h"

namespace dragoman::model {

using Logits = std::vector<float>;     // [vocab]
using Attention = std::vector<float>;  // [src_vis]

class StreamDriver {
 public:
  // Opens a stream with room for `rows` rows on each side. The backbone must outlive the driver.
  StreamDriver(Backbone* backbone, int32_t prompt, int32_t phi, int32_t rows = 100);
  ~StreamDriver();
  StreamDriver(const StreamDriver&) = delete;
  StreamDriver& operator=(const StreamDriver&) = delete;

  // Rows from now on may skip modules: all but prompt, header and the first row of either group,
  // or, with `force_none`, all. Before: every row is forced.
  void Route(float skip_offset, int32_t header, bool force_none = false);

  // Target rows from now on report their attention by these heads; all streams of a step must name
  // the same ones.
  void AskForAttention(std::vector<AttentionHead> heads) { heads_ = std::move(heads); }

  StreamId id() const { return id_; }
  int32_t prompt() const { return prompt_; }
  const std::vector<TokenId>& source() const { return source_; }
  const std::vector<TokenId>& target() const { return target_; }
  const std::vector<int32_t>& visible() const { return visible_; }
  // Of every target row fed with want_logits, as it came back; empty for other rows.
  const std::vector<Logits>& logits() const { return logits_; }

  // Of the same rows, by the heads of AskForAttention(); empty rows before it.
  const std::vector<Attention>& attention() const { return attention_; }

  // Gate bytes of the rows fed after Route(), source rows and target rows, [rows, layers].
  const std::vector<uint8_t>& gates(Side side) const { return gates_[static_cast<size_t>(side)]; }

  // Adds rows to `batch` and notes them; Run() or TakeLogits() must follow.
  void AddSource(const std::vector<TokenId>& tokens, StepBatch* batch);
  void AddTarget(TokenId token, int32_t src_vis, StepBatch* batch);
  // Keeps the logits of this stream's target rows of an executed batch.
  void TakeLogits(const StepBatch& batch, const StepOutput& output);

  // One call each.
  void FeedSource(const std::vector<TokenId>& tokens);
  const Logits& FeedTarget(TokenId token, int32_t src_vis);
  void Run(const StepBatch& batch);

  void Truncate(Side side, int32_t length);
  void Rollback(const CacheMark& mark);
  // Keys (even entries) and values (odd) of one row in all layers, concatenated.
  std::vector<float> ReadRow(Side side, int32_t row) const;

 private:
  Backbone* const backbone_;
  const int32_t prompt_;
  const int32_t phi_;
  StreamId id_ = 0;
  std::vector<TokenId> source_;
  std::vector<TokenId> target_;
  std::vector<int32_t> visible_;
  RowGroup GroupOf(Side side, int32_t index) const;

  std::vector<Logits> logits_;
  std::vector<AttentionHead> heads_;
  std::vector<Attention> attention_;
  std::vector<uint8_t> gates_[2];
  bool routed_ = false, force_none_ = false;
  float skip_offset_ = 0;
  int32_t header_ = 1;
};

// Feeds the target rows of a case one by one, source rows just before they become visible, and
// returns the logits of every target row.
std::vector<Logits> StreamCase(Backbone* backbone, const GroupCase& one);
// The whole case in one call.
std::vector<Logits> OneCall(Backbone* backbone, const GroupCase& one);

}  // namespace dragoman::model
