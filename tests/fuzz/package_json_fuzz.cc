// config.json and dragoman.json of a model package: what is accepted is within the stated bounds.
#include "base/check.h"
#include "model/package/config_json.h"
#include "model/package/manifest.h"
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
  return 0;
}
