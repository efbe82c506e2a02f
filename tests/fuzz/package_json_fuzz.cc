// config.json, dragoman.json and policy.json of a model package: what is accepted is within the
// stated bounds.
#include "base/check.h"
#include "model/package/config_json.h"
#include "model/package/manifest.h"
#include "model/package/policy_file.h"
#include "tests/fuzz/fuzz_input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text = dragoman::fuzz::ToText(data, size);
  const auto config = dragoman::model::ParseConfigJson(text);
  if (config.ok()) {
    DRAGOMAN_CHECK(config->vocab_size > 0 && config->hidden_size > 0 && config->num_layers > 0);
    DRAGOMAN_CHECK(config->max_positions > 0);
    DRAGOMAN_CHECK(config->ParameterCount() > 0);
  }
  const auto manifest = dragoman::model::ParseManifest(text);
  if (manifest.ok()) {
    DRAGOMAN_CHECK(!manifest->name.empty());
    DRAGOMAN_CHECK(!manifest->target_languages.empty());
  }
  dragoman::model::ModelConfig shape;
  shape.num_layers = 2;
  shape.num_heads = 4;
  const auto settings = dragoman::model::ParsePolicyFile(text, shape);
  if (settings.ok()) {
    DRAGOMAN_CHECK(settings->words >= 1 && settings->words <= 64);
    DRAGOMAN_CHECK(!settings->heads.empty());
    DRAGOMAN_CHECK(
        dragoman::model::CheckAttention({.attention_heads = settings->heads}, shape).ok());
  }
  return 0;
}
