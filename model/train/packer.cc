#include "model/train/packer.h"

#include <atomic>
#include <thread>

#include "model/train/mode_form.h"
#include "torch/torch.h"

namespace dragoman::model {
namespace {

// The layout of the sample's language, with demonstrations in its prompt if there are any.
StreamLayout LayoutOf(const Sample& sample, const std::vector<StreamLayout>& layouts,
                      const PackOptions& options) {
  StreamLayout layout = layouts[sample.language];
  layout.prompt = PromptOf(sample, layout.prompt, options);
  return layout;
}

// Pack() for all but `group` with its own positions.
MicroBatch PackMode(const std::vector<const Sample*>& samples,
                    const std::vector<StreamLayout>& layouts, const PackOptions& options) {
  std::vector<ModeExample> examples;
  std::vector<const ModeRows*> cases;
  examples.reserve(samples.size());
  std::vector<int64_t> units;
  MicroBatch batch;
  for (const Sample* sample : samples) {
    DrawSampleSchedule(*sample, options, &units);
    const StreamLayout layout = LayoutOf(*sample, layouts, options);
    examples.push_back(LaySample(options.mode, options.positions, *sample, layout, units));
    const ModeRows& rows = examples.back().rows;
    cases.push_back(&rows);
    batch.tokens += static_cast<int64_t>(rows.source.size() + rows.target.size());
  }
  batch.form = BuildModeForm(cases);
  std::vector<int64_t> rows, labels;
  for (size_t s = 0; s < examples.size(); ++s) {
    const int64_t first = static_cast<int64_t>(s) * batch.form.columns;
    for (const ModeLabel& label : examples[s].labels) {
      rows.push_back(first + (label.source_side ? 0 : batch.form.source_columns) + label.row);
      labels.push_back(label.label);
    }
  }
  batch.label_rows = torch::tensor(rows, torch::kInt64);
  batch.labels = torch::tensor(labels, torch::kInt64);
  return batch;
}

}  // namespace

MicroBatch MicroBatch::To(const torch::Device& device) const {
  MicroBatch moved = *this;
  moved.form = form.To(device);
  moved.label_rows = label_rows.to(device);
  moved.labels = labels.to(device);
  return moved;
}

TrainingFormCase MakeTrainingCase(const Sample& sample, const StreamLayout& layout,
                                  const std::vector<int64_t>& units) {
  TrainingFormCase one;
  one.prompt = static_cast<int32_t>(layout.prompt.size());
  one.phi = layout.phi;
  one.header = static_cast<int32_t>(layout.target_header.size());
  one.source_side = layout.prompt;
  one.source_side.insert(one.source_side.end(), sample.source.begin(), sample.source.end());
  one.source_side.insert(one.source_side.end(), layout.source_end.begin(), layout.source_end.end());
  one.target_side = layout.target_header;
  one.target_side.insert(one.target_side.end(), sample.target.begin(), sample.target.end());
  one.src_vis = RowVisibility(sample, units, static_cast<int32_t>(layout.target_header.size()),
                              static_cast<int32_t>(layout.source_end.size()));
  return one;
}

std::vector<TokenId> PromptOf(const Sample& sample, const std::vector<TokenId>& prompt,
                              const PackOptions& options) {
  if (options.demonstrations == nullptr) return prompt;
  const auto index = static_cast<uint32_t>(&sample - options.first_sample);
  std::vector<const Sample*> pairs;
  for (const uint32_t other : options.demonstrations->Draw(options.seed, options.epoch, index)) {
    pairs.push_back(options.first_sample + other);
  }
  while (!pairs.empty()) {
    std::vector<TokenId> longer = PromptWithDemonstrations(prompt, pairs, options.symbols);
    if (longer.size() <= options.max_prompt_tokens) return longer;
    pairs.pop_back();
  }
  return prompt;
}

Schedule DrawSampleSchedule(const Sample& sample, const PackOptions& options,
                            std::vector<int64_t>* units) {
  RandomStream random(options.seed, "schedule", options.epoch, sample.id);
  return DrawSchedule(options.schedule, static_cast<int64_t>(sample.source_words.size()),
                      static_cast<int64_t>(sample.target_words.size()), &random, units);
}

MicroBatch Pack(const std::vector<const Sample*>& samples, const std::vector<StreamLayout>& layouts,
                const PackOptions& options) {
  if (options.mode != StreamMode::kGroup || options.positions != GroupPositions::kAll) {
    return PackMode(samples, layouts, options);
  }
  std::vector<TrainingFormCase> cases;
  cases.reserve(samples.size());
  std::vector<int64_t> units;
  MicroBatch batch;
  for (const Sample* sample : samples) {
    DrawSampleSchedule(*sample, options, &units);
    const StreamLayout layout = LayoutOf(*sample, layouts, options);
    cases.push_back(MakeTrainingCase(*sample, layout, units));
    batch.tokens +=
        static_cast<int64_t>(cases.back().source_side.size() + cases.back().target_side.size());
  }
  std::vector<const TrainingFormCase*> pointers;
  for (const TrainingFormCase& one : cases) pointers.push_back(&one);
  batch.form = BuildTrainingForm(pointers);
  std::vector<int64_t> rows, labels;
  for (size_t s = 0; s < samples.size(); ++s) {
    const StreamLayout& layout = layouts[samples[s]->language];
    const int64_t first = static_cast<int64_t>(s) * batch.form.columns + batch.form.source_columns +
                          static_cast<int64_t>(layout.target_header.size()) - 1;
    const std::vector<TokenId>& target = samples[s]->target;
    for (size_t i = 0; i <= target.size(); ++i) {
      rows.push_back(first + static_cast<int64_t>(i));
      labels.push_back(i < target.size() ? target[i] : layout.end_of_target);
    }
  }
  batch.label_rows = torch::tensor(rows, torch::kInt64);
  batch.labels = torch::tensor(labels, torch::kInt64);
  return batch;
}

std::vector<MicroBatch> PackAll(const std::vector<std::vector<const Sample*>>& batches,
                                const std::vector<StreamLayout>& layouts,
                                const PackOptions& options, int workers) {
  std::vector<MicroBatch> packed(batches.size());
  std::atomic<size_t> next{0};
  const auto work = [&] {
    for (size_t i = next++; i < batches.size(); i = next++) {
      packed[i] = Pack(batches[i], layouts, options);
    }
  };
  std::vector<std::thread> threads;
  for (int i = 1; i < workers; ++i) threads.emplace_back(work);
  work();
  for (std::thread& thread : threads) thread.join();
  return packed;
}

}  // namespace dragoman::model
