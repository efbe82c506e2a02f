#include "tests/conformance/tiny_engine_model.h"

#include <utility>

#include "base/check.h"
#include "tests/support/tiny_model/test_folder.h"
#include "tests/support/tiny_model/tiny_model.h"

namespace dragoman::model {
namespace {

TokenTraits TinyTraits(int64_t vocab_size) {
  TokenTraits traits;
  traits.flags.assign(static_cast<size_t>(vocab_size), 0);
  for (TokenId id = 0; id < vocab_size; ++id) {
    uint8_t& flags = traits.flags[static_cast<size_t>(id)];
    if (id < kTinyFirstText && id != kTinyEnd) flags = TokenTraits::kSuppressed;
    if (id >= kTinyFirstText && id % 2 == 0) flags = TokenTraits::kWordStart;
  }
  return traits;
}

std::shared_ptr<const ModelPackage> MakePackage(const TinyModelOptions& options) {
  TestFolder folder;  // the package keeps its files open
  DRAGOMAN_CHECK(MakeTinyPackage(folder / "model", options).ok());
  auto loaded = ModelPackage::Load(folder / "model");
  DRAGOMAN_CHECK_MSG(loaded.ok(), loaded.status().ToString());
  return *std::move(loaded);
}

}  // namespace

TestModelFactory TinyEngineModels(CreateBackbone create, int threads) {
  return [create = std::move(create), threads](uint64_t seed) {
    TinyModelOptions options;
    options.seed = seed;
    options.vocab_size = 24;
    options.max_positions = 512;
    TestModel model;
    model.traits = TinyTraits(options.vocab_size);
    model.attention_heads = {{.layer = 0, .head = 1}, {.layer = 1, .head = 2}};
    model.layout.prompt = {kTinyBegin, kTinyToGerman, kTinySource};
    model.layout.source_end = {kTinySourceEnd};
    model.layout.target_header = {kTinyTarget};
    model.layout.end_of_target = kTinyEnd;
    model.layout.max_positions = options.max_positions;
    model.make_backbone = [package = MakePackage(options), create, threads](size_t max_pages) {
      BackendOptions backend;
      backend.num_threads = threads;
      backend.max_pages = max_pages;
      backend.poison_freed_pages = true;
      auto backbone = create(*package, backend);
      DRAGOMAN_CHECK_MSG(backbone.ok(), backbone.status().ToString());
      return *std::move(backbone);
    };
    return model;
  };
}

}  // namespace dragoman::model
