#include "tests/support/tiny_model/tiny_model.h"

#include <cmath>
#include <deque>
#include <vector>

#include "base/random.h"
#include "base/status_macros.h"
#include "model/package/architecture_tensors.h"
#include "model/package/float_conversion.h"

namespace dragoman::model {
namespace {

constexpr int64_t kGoldenVocabulary = 1000;
constexpr char kGoldenTokenizer[] =
    DRAGOMAN_SOURCE_DIR "/tests/golden/tokenizer/unigram_nfkc.model";

bool Contains(const std::string& name, const char* part) {
  return name.find(part) != std::string::npos;
}

// Spreads that give logits of a few units, as a trained model has them.
double Deviation(const std::string& name) {
  if (Contains(name, ".bias") || Contains(name, "norm")) return 0.2;
  if (Contains(name, "embed_tokens") || Contains(name, "lm_head")) return 0.2;
  if (Contains(name, "q_proj") || Contains(name, "k_proj") || Contains(name, "v_proj")) return 0.18;
  return Contains(name, "down_proj") ? 0.12 : 0.15;
}

// Box-Muller; both halves come from one counter, so that the values depend on nothing else.
std::vector<float> NormalValues(RandomStream* random, int64_t count, double mean,
                                double deviation) {
  std::vector<float> values(count);
  for (float& value : values) {
    const double radius = std::sqrt(-2.0 * std::log(1.0 - random->NextUnit()));
    const double angle = 2.0 * M_PI * random->NextUnit();
    value = static_cast<float>(mean + deviation * radius * std::cos(angle));
  }
  return values;
}

PackageManifest TinyManifest(const TinyModelOptions& options) {
  PackageManifest manifest;
  manifest.name = "tiny";
  manifest.description = "Random weights for tests";
  manifest.license = "Apache-2.0";
  manifest.source_language = "en";
  manifest.target_languages = {"de", "fr", "es"};
  manifest.phi = options.phi;
  manifest.max_positions = options.max_positions;
  manifest.default_policy = "wait-k:3";
  manifest.end_of_target = kTinyEnd;
  manifest.source_end.assign(options.marker_tokens, kTinySourceEnd);
  for (size_t i = 0; i < manifest.target_languages.size(); ++i) {
    const std::string& language = manifest.target_languages[i];
    const TokenId tag = kTinyToGerman + static_cast<TokenId>(i);
    manifest.prompts[language] = {kTinyBegin, tag, kTinySource};
    manifest.target_headers[language].assign(options.header_tokens, tag);
    manifest.target_headers[language].back() = kTinyTarget;
  }
  return manifest;
}

}  // namespace

ModelConfig TinyModelConfig(const TinyModelOptions& options) {
  ModelConfig config;
  config.architecture = options.architecture;
  config.vocab_size = options.with_tokenizer ? kGoldenVocabulary : options.vocab_size;
  config.hidden_size = options.hidden_size;
  config.num_layers = options.num_layers;
  config.num_heads = options.num_heads;
  config.num_kv_heads = options.num_kv_heads;
  config.head_dim = options.head_dim;
  config.ffn_size = options.ffn_size;
  config.max_positions = options.max_positions;
  config.rms_norm_eps = 1e-6;
  config.tie_word_embeddings = options.tied;
  config.qkv_bias = options.architecture == Architecture::kQwen2;
  config.qk_norm = options.architecture == Architecture::kQwen3;
  config.fused_projections = options.architecture == Architecture::kPhi3;
  config.layers = options.layers;
  return config;
}

absl::Status MakeTinyPackage(const std::string& folder, const TinyModelOptions& options) {
  if (options.header_tokens < 1 || options.marker_tokens < 1) {
    return absl::InvalidArgumentError("header and marker need at least one token");
  }
  PackageContents contents;
  contents.config = TinyModelConfig(options);
  contents.manifest = TinyManifest(options);
  contents.dtype = options.dtype;
  std::deque<std::string> storage;  // the views below point into it
  for (const ExpectedTensor& expected : ExpectedTensors(contents.config)) {
    TensorView view;
    view.dtype = DType::kF32;
    view.shape = expected.shape;
    RandomStream random(options.seed, expected.name);
    const bool norm = Contains(expected.name, "norm");
    const std::vector<float> values =
        NormalValues(&random, view.num_elements(), norm ? 1.0 : 0.0, Deviation(expected.name));
    DRAGOMAN_ASSIGN_OR_RETURN(std::string bytes, EncodeFloats(values, DType::kF32));
    storage.push_back(std::move(bytes));
    view.bytes = storage.back();
    contents.tensors.push_back({expected.name, std::move(view)});
  }
  if (options.with_tokenizer) contents.copies["tokenizer.model"] = kGoldenTokenizer;
  return WritePackage(folder, contents);
}

}  // namespace dragoman::model
