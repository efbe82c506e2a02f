// The training form of streaming translation: one forward over [source side | target side] of many
// samples, padded, with the visibility mask and group positions of streaming.md sections 2, 3.
#pragma once

#include <cstdint>
#include <vector>

#include "base/status.h"
#include "model/api/backend_options.h"
#include "model/torch/transformer.h"

namespace dragoman::model {

// One sample: token ids of both sides and, for each target-side row, how many source tokens (prompt
// not counted) it sees.
struct TrainingFormCase {
  std::vector<TokenId> source_side;  // prompt, source, marker
  std::vector<TokenId> target_side;  // header, target (the final EOS is a label, not a row)
  std::vector<int32_t> src_vis;      // [target_side]
  int32_t prompt = 0;                // p
  int32_t phi = 0;
  int32_t header = 1;  // h: first target-side rows, which never skip modules
};

// Padded tensors of a batch of samples. Rows are sample-major: sample s, column c is row
// s * columns + c; columns are [source side padded to A | target side padded to B].
struct TrainingFormBatch {
  int64_t samples = 0, columns = 0, source_columns = 0;
  torch::Tensor tokens;     // int64 [samples * columns]
  torch::Tensor positions;  // int64 [samples * columns]
  // Row r sees columns [0, source_ends[r]) and source_columns + [0, target_ends[r]) of its sample;
  // a padding row sees one column, so that no row has an empty key set.
  torch::Tensor source_ends;  // int32 [samples * columns]
  torch::Tensor target_ends;  // int32 [samples * columns]
  torch::Tensor groups;       // int64 [samples * columns]: RowGroup, forced for padding

  TrainingFormBatch To(const torch::Device& device) const;
};
TrainingFormBatch BuildTrainingForm(const std::vector<const TrainingFormCase*>& cases);

// Final hidden states [samples * columns, hidden].
torch::Tensor RunTrainingForm(const ModelConfig& config, const TransformerWeights& weights,
                              const RotaryTable& rotary, const TrainingFormBatch& batch,
                              const ForwardOptions& options);

// Logits of all target-side rows, [target_side, vocab] flattened, of one sample under the weights
// of a package: the reference that streaming is held to. Errors: those of LoadWeights().
absl::StatusOr<std::vector<double>> TrainingFormLogits(const ModelPackage& package,
                                                       ComputeType compute,
                                                       const TrainingFormCase& one);

}  // namespace dragoman::model
