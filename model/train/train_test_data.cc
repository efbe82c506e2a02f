#include "model/train/train_test_data.h"

#include "base/random.h"
#include "model/package/package_writer.h"
#include "torch/torch.h"

namespace dragoman::model {

ModelConfig TinyTrainModel() {
  ModelConfig model;
  model.vocab_size = 64;
  model.hidden_size = 32;
  model.num_layers = 2;
  model.num_heads = 4;
  model.num_kv_heads = 2;
  model.head_dim = 8;
  model.ffn_size = 64;
  model.max_positions = 128;
  model.tie_word_embeddings = true;
  return model;
}

StreamLayout TinyTrainLayout() {
  StreamLayout layout;
  layout.prompt = {1, 3};
  layout.source_end = {4};
  layout.target_header = {5, 6};
  layout.end_of_target = 2;
  layout.max_positions = 128;
  return layout;
}

std::vector<Sample> ToySamples(size_t count, uint64_t seed) {
  std::vector<Sample> samples(count);
  for (size_t i = 0; i < count; ++i) {
    RandomStream random(seed, "toy", 0, i);
    Sample& sample = samples[i];
    sample.id = i;
    const size_t words = 2 + random.NextBelow(6);
    for (size_t w = 0; w < words; ++w) {
      const auto word = static_cast<TokenId>(random.NextBelow(20));
      sample.source.push_back(8 + word);
      sample.source_words.push_back(1);
      sample.target.push_back(30 + word);
      sample.target_words.push_back(1);
      if (word % 3 == 0) {  // a word of two tokens
        sample.target.push_back(52 + word / 3);
        sample.target_words.back() = 2;
      }
    }
  }
  return samples;
}

absl::StatusOr<std::unique_ptr<ModelPackage>> WriteToyPackage(const ModelConfig& model,
                                                              const TransformerWeights& weights,
                                                              const StreamLayout& layout,
                                                              const std::string& folder) {
  PackageContents contents;
  contents.config = model;
  contents.manifest.name = "toy";
  contents.manifest.source_language = "en";
  contents.manifest.target_languages = {"de"};
  contents.manifest.max_positions = static_cast<int32_t>(model.max_positions);
  contents.manifest.phi = layout.phi;
  contents.manifest.prompts["de"] = layout.prompt;
  contents.manifest.source_end = layout.source_end;
  contents.manifest.target_headers["de"] = layout.target_header;
  contents.manifest.end_of_target = layout.end_of_target;
  const auto tensors = ExportHuggingFace(model, weights);
  for (const auto& [name, tensor] : tensors) {
    contents.tensors.push_back(
        {name,
         {DType::kF32, tensor.sizes().vec(),
          std::string_view(static_cast<const char*>(tensor.data_ptr()), tensor.nbytes())}});
  }
  const absl::Status written = WritePackage(folder, contents);
  if (!written.ok()) return written;
  return ModelPackage::Load(folder);
}

TrainConfig TinyTrainConfig() {
  TrainConfig config;
  config.data = "unused";
  config.output = "unused";
  config.model = TinyTrainModel();
  config.seed = 7;
  config.threads = 1;
  config.bfloat16 = false;
  config.fused = false;
  config.batch_tokens = 512;
  config.accumulation = 2;
  config.max_steps = 400;
  config.label_smoothing = 0;
  config.dropout = 0;
  config.optimizer.peak_lr = 3e-3;
  config.optimizer.warmup_steps = 20;
  config.optimizer.decay = "linear";
  return config;
}

}  // namespace dragoman::model
