#include "model/package/package_test_data.h"

#include <algorithm>
#include <vector>

#include "model/package/architecture_tensors.h"
#include "model/package/float_conversion.h"

namespace dragoman::model {

SmallPackage MakeSmallPackage(const std::function<float()>& next, int64_t layers) {
  SmallPackage package;
  ModelConfig& config = package.contents.config;
  config.vocab_size = 12;
  config.hidden_size = 4;
  config.num_layers = layers;
  config.num_heads = 2;
  config.num_kv_heads = 1;
  config.head_dim = 2;
  config.ffn_size = 6;
  config.max_positions = 32;
  PackageManifest& manifest = package.contents.manifest;
  manifest.name = "test";
  manifest.description = "d";
  manifest.license = "l";
  manifest.source_language = "en";
  manifest.target_languages = {"de"};
  manifest.max_positions = 32;
  manifest.prompts["de"] = {1, 3};
  manifest.source_end = {4};
  manifest.target_headers["de"] = {5};
  manifest.end_of_target = 2;
  for (const ExpectedTensor& expected : ExpectedTensors(config)) {
    TensorView view{DType::kF32, expected.shape, {}};
    std::vector<float> values(view.num_elements());
    std::generate(values.begin(), values.end(), next);
    package.storage[expected.name] = *EncodeFloats(values, DType::kF32);
    view.bytes = package.storage[expected.name];
    package.contents.tensors.push_back({expected.name, view});
  }
  return package;
}

}  // namespace dragoman::model
