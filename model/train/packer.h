// Samples -> the tensors of one micro-batch: rows of both sides, visibility, labels. Deterministic:
// the schedule of a sample is drawn from (seed, epoch, sample id), never from worker or batch.
#pragma once

#include <cstdint>
#include <vector>

#include "model/api/stream_layout.h"
#include "model/corpus/demonstrations.h"
#include "model/corpus/read_write_plan.h"
#include "model/corpus/sample.h"
#include "model/torch/training_form.h"
#include "model/train/mode_layout.h"

namespace dragoman::model {

struct PackOptions {
  uint64_t seed = 1;
  uint64_t epoch = 0;
  ScheduleMix schedule;
  StreamMode mode = StreamMode::kGroup;
  GroupPositions positions = GroupPositions::kAll;
  // Null: no demonstrations. `first_sample` is the element that the index counts from.
  const DemonstrationIndex* demonstrations = nullptr;
  const Sample* first_sample = nullptr;
  DemonstrationSymbols symbols;
  size_t max_prompt_tokens = 0;  // demonstrations that do not fit are left out
};

struct MicroBatch {
  TrainingFormBatch form;
  torch::Tensor label_rows;  // int64 [labels]: rows of the batch that predict a label
  // int64 [labels]: y_1..y_m and EOS of every sample; interleaved modes have the first token of a
  // word twice where source is read before it (mode_layout.h)
  torch::Tensor labels;
  int64_t tokens = 0;  // without padding, both sides

  MicroBatch To(const torch::Device& device) const;
};

// The training form of one sample under given visible units; labels are y_1..y_m, EOS.
TrainingFormCase MakeTrainingCase(const Sample& sample, const StreamLayout& layout,
                                  const std::vector<int64_t>& units);

// The schedule draw of a sample in an epoch, as Pack() makes it.
Schedule DrawSampleSchedule(const Sample& sample, const PackOptions& options,
                            std::vector<int64_t>* units);

// Prompt of a sample in an epoch: as given, or with its demonstrations (no loss on them).
std::vector<TokenId> PromptOf(const Sample& sample, const std::vector<TokenId>& prompt,
                              const PackOptions& options);

// `layouts` by Sample::language.
MicroBatch Pack(const std::vector<const Sample*>& samples, const std::vector<StreamLayout>& layouts,
                const PackOptions& options);

// Packs several micro-batches on `workers` threads; results keep their order.
std::vector<MicroBatch> PackAll(const std::vector<std::vector<const Sample*>>& batches,
                                const std::vector<StreamLayout>& layouts,
                                const PackOptions& options, int workers);

}  // namespace dragoman::model
