#include "model/train/sft_stage.h"

#include "model/torch/fused_ops.h"
#include "torch/torch.h"

namespace dragoman::model {

torch::Tensor SftLossSum(const ModelConfig& config, const TransformerWeights& weights,
                         const RotaryTable& rotary, const MicroBatch& batch,
                         const SftOptions& options) {
  const torch::Tensor hidden =
      RunTrainingForm(config, weights, rotary, batch.form, options.forward);
  return LabelLossSum(weights, hidden.index_select(0, batch.label_rows), batch.labels, options);
}

torch::Tensor LabelLossSum(const TransformerWeights& weights, const torch::Tensor& labelled,
                           const torch::Tensor& labels, const SftOptions& options) {
  if (options.forward.fused) {
    return FusedHeadLossSum(labelled, weights.head, labels, options.label_smoothing);
  }
  const torch::Tensor logits = ProjectToVocabulary(weights, labelled, options.forward);
  return torch::nn::functional::cross_entropy(logits, labels,
                                              torch::nn::functional::CrossEntropyFuncOptions()
                                                  .reduction(torch::kSum)
                                                  .label_smoothing(options.label_smoothing));
}

torch::Tensor DistillationSum(const TransformerWeights& weights, const torch::Tensor& teacher,
                              const torch::Tensor& student, const ForwardOptions& options) {
  torch::Tensor target;
  {
    torch::NoGradGuard no_grad;
    target = torch::log_softmax(ProjectToVocabulary(weights, teacher, options), -1);
  }
  const torch::Tensor logits = ProjectToVocabulary(weights, student, options);
  return torch::nn::functional::kl_div(
      torch::log_softmax(logits, -1), target,
      torch::nn::functional::KLDivFuncOptions().reduction(torch::kSum).log_target(true));
}

}  // namespace dragoman::model
