// One packed step: rows of any mix of streams, in the terms of group position encoding
// (arXiv 2505.16983).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/status.h"
#include "model/api/model_config.h"
#include "model/api/step_routing.h"

namespace dragoman::model {

// Name of an open stream inside one backbone. Never reused while the backbone lives.
using StreamId = int64_t;

// Side A holds prompt, source and end-of-source marker; side B holds header and target.
enum class Side : uint8_t { kSource = 0, kTarget = 1 };

// Which budget of a skip rule a row counts in. Forced rows execute everything: prompt and header
// rows, the first source and the first target row, all rows of a dense stream.
enum class RowGroup : uint8_t { kForced = 0, kSource = 1, kTarget = 2 };

// Groups of the rows of a routed stream, by their index on a side: of `prompt` prompt rows and
// `header` header rows. The first row behind them is forced too; such rows act as attention sinks.
constexpr RowGroup GroupOfSourceRow(int32_t index, int32_t prompt) {
  return index <= prompt ? RowGroup::kForced : RowGroup::kSource;
}
constexpr RowGroup GroupOfTargetRow(int32_t index, int32_t header) {
  return index <= header ? RowGroup::kForced : RowGroup::kTarget;
}

// One query head of one layer.
struct AttentionHead {
  int64_t layer = 0;
  int64_t head = 0;

  friend bool operator==(const AttentionHead&, const AttentionHead&) = default;
};

// Rows of one stream and side appear in append order; rows of both sides of a stream may share a
// step. At each layer all keys and values of the step are written before any row attends, so a
// target row may see source rows of the same step.
struct StepRow {
  TokenId token = 0;
  StreamId stream = 0;
  Side side = Side::kSource;
  int32_t position = 0;  // group position: A index, or phi + B index
  int32_t src_vis = -1;  // side B: source tokens (prompt not counted) visible to the row; A: -1
  bool want_logits = false;
  RowGroup group = RowGroup::kForced;
  float skip_offset = 0;        // added to the router's threshold; fixed for the life of a stream
  bool want_attention = false;  // side B: StepOutput::attention_of() the row is asked for
};

struct StepBatch {
  std::vector<StepRow> rows;
  // Whose mean the rows with want_attention are answered with. A head that the row skips counts as
  // nothing.
  std::vector<AttentionHead> attention_heads;
  // The position and monotone-visibility checks are the layout rule of group position encoding.
  // Reproduction modes (batch positions, ablations) reuse the call with the checks off.
  bool check_layout = true;
};

// Every backbone refuses a step for these before any work. Errors: InvalidArgument (attention asked
// for by a row of side A or without heads, a head that the model does not have).
absl::Status CheckAttention(const StepBatch& batch, const ModelConfig& config);

// Result of one step. Reused between steps so that its memory is allocated once.
struct StepOutput {
  int64_t vocab_size = 0;
  std::vector<float> logits;  // [rows with want_logits, vocab_size], in row order
  // Gate bytes of the step (gate_rule.h), [rows, layers]; empty when every row was forced or the
  // backbone has no gate rule.
  std::vector<uint8_t> gates;
  int64_t weight_bytes = 0;  // of weight matrices that the step read
  StepRouting routing;
  // Of the rows with want_attention, behind each other; empty when there are none.
  std::vector<float> attention;
  std::vector<size_t> attention_begin;  // [rows + 1] into `attention`; empty when there are none

  size_t num_rows() const {
    return vocab_size == 0 ? 0 : logits.size() / static_cast<size_t>(vocab_size);
  }
  const float* row(size_t index) const { return logits.data() + index * vocab_size; }
  // What row `index` of the batch gave to each source token that it sees, [src_vis], prompt not
  // counted: weights of at least 0 that sum to at most 1, since the prompt and the target get the
  // rest. Empty when the row did not ask.
  std::span<const float> attention_of(size_t index) const {
    if (attention_begin.empty()) return {};
    return std::span(attention).subspan(attention_begin[index],
                                        attention_begin[index + 1] - attention_begin[index]);
  }
  // Room for what the rows of `batch` ask for, filled with 0.
  void ReserveAttention(const StepBatch& batch);
};

}  // namespace dragoman::model
