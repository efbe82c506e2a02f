// The hash backbone as a TestModel.
#pragma once

#include <utility>

#include "model/engine/engine_harness.h"
#include "tests/support/fake_backbone/hash_backbone.h"

namespace dragoman::model {

// `options`: seed, traits, end, and pages are filled in here. Two prompt rows.
inline TestModel MakeHashModel(uint64_t seed, HashBackboneOptions options = {},
                               const FakeVocabulary& vocabulary = MakeFakeVocabulary()) {
  options.seed = seed;
  options.traits = vocabulary.traits;
  options.end_of_target = vocabulary.layout.end_of_target;
  TestModel model;
  model.traits = vocabulary.traits;
  model.layout = vocabulary.layout;
  model.attention_heads = {{.layer = 0, .head = 0}};
  model.make_backbone = [options = std::move(options)](size_t max_pages) {
    HashBackboneOptions sized = options;
    sized.max_pages = max_pages;
    return std::make_unique<HashBackbone>(std::move(sized));
  };
  return model;
}

}  // namespace dragoman::model
