// Greedy decoding of many sentences at once under a mode of mode_layout.h, by recomputation: every
// step runs one forward over all rows that each unfinished sentence has so far and takes one token
// of each. Nothing is cached, so rows stand and see exactly what the mode says, on any device. The
// rules of READ, WRITE and the guards are those of the engine; mode kGroup gives the engine's
// tokens. What a cache would have been fed is counted. One thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "base/status.h"
#include "model/api/model_config.h"
#include "model/api/stream_layout.h"
#include "model/decode/stop_rules.h"
#include "model/decode/token_traits.h"
#include "model/torch/transformer.h"
#include "model/train/mode_layout.h"
#include "torch/types.h"

namespace dragoman::model {

struct ModeDecodeOptions {
  StreamMode mode = StreamMode::kGroup;
  GroupPositions positions = GroupPositions::kAll;
  int64_t k = 0;  // wait-k; 0: the full sentence is read first, which kBatch needs
  StopLimits stop;
  size_t batch_sentences = 512;  // of one forward at most
  bool bfloat16_products = false;
  std::function<void(size_t)> progress;  // finished sentences; may be empty
};

// One source, encoded word by word.
struct ModeSentence {
  std::vector<TokenId> tokens;
  std::vector<uint16_t> words;  // tokens per word
};

struct ModeHypothesis {
  std::vector<TokenId> tokens;  // without the end
  std::vector<int64_t> delays;  // source words visible when each target word was closed
  // Rows that a cache of this mode is fed. Re-encoding is counted once per row that follows a READ,
  // however many units that READ had.
  int64_t source_rows = 0;
  int64_t target_rows = 0;
  int64_t rotated_rows = 0;  // keys rotated anew (kRepositioned)
  int64_t probe_rows = 0;    // of target_rows: fed again at more source
  int64_t eos_waits = 0;
  bool guarded = false;  // a guard ended it
};

// Forwards of streams as far as they have come.
class ModeForward {
 public:
  // `weights` must outlive the object; it runs on their device.
  ModeForward(const ModelConfig& config, const TransformerWeights& weights, bool bfloat16_products);

  // Logits of the next token of each state, [states, vocab]. States have one mode.
  torch::Tensor NextLogits(const std::vector<ModeState>& states) const;
  // Final hidden states of all rows of the cases, [cases * columns, hidden], and their form.
  torch::Tensor Hidden(const std::vector<const ModeRows*>& cases, StreamMode mode, int64_t* columns,
                       int64_t* source_columns) const;

 private:
  const ModelConfig config_;
  const TransformerWeights& weights_;
  ForwardOptions options_;
  RotaryTable rotary_;
};

// Hypotheses in the order of the sentences; an empty source has an empty one.
// Errors: InvalidArgument (kBatch with k, kBatchStreaming, a source that fills all positions),
// Internal (logits not finite, libtorch).
absl::StatusOr<std::vector<ModeHypothesis>> DecodeModes(const ModelConfig& config,
                                                        const TransformerWeights& weights,
                                                        const TokenTraits& traits,
                                                        const StreamLayout& layout,
                                                        const std::vector<ModeSentence>& sentences,
                                                        const ModeDecodeOptions& options);

}  // namespace dragoman::model
