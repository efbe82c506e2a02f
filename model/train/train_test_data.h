// Small made-up data for the trainer's tests: a toy language pair and a layout for it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "model/api/model_config.h"
#include "model/api/stream_layout.h"
#include "model/corpus/sample.h"
#include "model/package/model_package.h"
#include "model/torch/weights.h"
#include "model/train/train_config.h"

namespace dragoman::model {

// vocabulary 64, hidden 32, 2 layers, 4 heads on 2 KV heads, 128 positions, tied.
ModelConfig TinyTrainModel();

// h = 2, e = 1, phi = 0.
StreamLayout TinyTrainLayout();

// `count` different pairs of 2 to 7 words; the target is a word-by-word mapping of the source with
// some words of two tokens. One language, one corpus.
std::vector<Sample> ToySamples(size_t count, uint64_t seed);

// Writes fp32 weights as a package for English to German in `folder` and opens it.
absl::StatusOr<std::unique_ptr<ModelPackage>> WriteToyPackage(const ModelConfig& model,
                                                              const TransformerWeights& weights,
                                                              const StreamLayout& layout,
                                                              const std::string& folder);

// fp32, no dropout, no smoothing, deterministic.
TrainConfig TinyTrainConfig();

}  // namespace dragoman::model
