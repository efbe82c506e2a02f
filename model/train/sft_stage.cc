#include "model/train/sft_stage.h"

#include "model/torch/fused_ops.h"
#include "torch/torch.h"

namespace dragoman::model {

torch::Tensor SftLossSum(const ModelConfig& config, const TransformerWeights& weights,
                         const RotaryTable& rotary, const MicroBatch& batch,
                         const SftOptions& options) {
  const torch::Tensor hidden =
      RunTrainingForm(config, weights, rotary, batch.form, options.forward);
  const torch::Tensor labelled = hidden.index_select(0, batch.label_rows);
  if (options.forward.fused) {
    return FusedHeadLossSum(labelled, weights.head, batch.labels, options.label_smoothing);
  }
  const torch::Tensor logits = ProjectToVocabulary(weights, labelled, options.forward);
  return torch::nn::functional::cross_entropy(logits, batch.labels,
                                              torch::nn::functional::CrossEntropyFuncOptions()
                                                  .reduction(torch::kSum)
                                                  .label_smoothing(options.label_smoothing));
}

}  // namespace dragoman::model
