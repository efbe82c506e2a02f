// The properties of model/engine/engine_properties.h on the torch backbone with random weights:
// fewer cases than on the hash backbone, but real keys, values and positions.
#include <memory>

#include "base/check.h"
#include "gtest/gtest.h"
#include "model/engine/engine_properties.h"
#include "model/package/model_package.h"
#include "model/torch/torch_backbone.h"
#include "tests/support/tiny_model/test_folder.h"
#include "tests/support/tiny_model/tiny_model.h"

namespace dragoman::model {
namespace {

// Text tokens with an even id begin a word.
TokenTraits TinyTraits(int64_t vocab_size) {
  TokenTraits traits;
  traits.flags.assign(static_cast<size_t>(vocab_size), 0);
  for (TokenId id = 0; id < vocab_size; ++id) {
    if (id < kTinyFirstText && id != kTinyEnd) traits.flags[id] = TokenTraits::kSuppressed;
    if (id >= kTinyFirstText && id % 2 == 0) traits.flags[id] = TokenTraits::kWordStart;
  }
  return traits;
}

TestModel TorchModel(uint64_t seed) {
  TinyModelOptions options;
  options.seed = seed;
  options.vocab_size = 24;  // so few that random weights end a target now and then
  options.max_positions = 512;

  TestFolder folder;
  DRAGOMAN_CHECK(MakeTinyPackage(folder / "model", options).ok());
  auto loaded = ModelPackage::Load(folder / "model");
  DRAGOMAN_CHECK_MSG(loaded.ok(), loaded.status().ToString());
  const std::shared_ptr<const ModelPackage> package = *std::move(loaded);

  TestModel model;
  model.traits = TinyTraits(options.vocab_size);
  model.layout.prompt = {kTinyBegin, kTinyToGerman, kTinySource};
  model.layout.source_end = {kTinySourceEnd};
  model.layout.target_header = {kTinyTarget};
  model.layout.end_of_target = kTinyEnd;
  model.layout.max_positions = options.max_positions;
  model.make_backbone = [package](size_t max_pages) {
    BackendOptions backend;
    backend.num_threads = 1;  // tiny matrices: more threads only wait for each other
    backend.max_pages = max_pages;
    backend.poison_freed_pages = true;
    auto backbone = CreateTorchBackbone(*package, backend);
    DRAGOMAN_CHECK_MSG(backbone.ok(), backbone.status().ToString());
    return *std::move(backbone);
  };
  return model;
}

TEST(TorchEnginePropertyTest, P1_WaitKDelaysAreExact) {
  EXPECT_GT(CheckWaitKDelays(TorchModel, 20), 0);
}

TEST(TorchEnginePropertyTest, P2_SentenceEqualsBatchDecoding) {
  CheckSentenceEqualsBatchDecode(TorchModel, 20);
}

TEST(TorchEnginePropertyTest, P6_AnEndBeforeTheEndOfSourceIsARead) {
  EXPECT_GT(CheckEarlyEndIsARead(TorchModel, 20), 0);
}

TEST(TorchEnginePropertyTest, P7_StableWordsNeverGrow) {
  CheckStableWordsNeverGrow(TorchModel, 20);
}

TEST(TorchEnginePropertyTest, P8_AnyChunkingAndFinishTimeGivesTheSameEvents) {
  CheckChunkingInvariance(TorchModel, 20);
}

TEST(TorchEnginePropertyTest, EngineEqualsTheLoopOfTheSpecification) {
  CheckReferenceLoop(TorchModel, 20);
}

TEST(TorchEnginePropertyTest, E7_AStarvedStreamEndsWithTheTextItHasAlone) {
  CheckStarvedStreamsKeepTheirText(TorchModel, 4);
}

TEST(TorchEnginePropertyTest, E8_MemoryIsConstantOverManySegments) {
  CheckManySegmentsKeepMemoryConstant(TorchModel, 100);
}

TEST(TorchEnginePropertyTest, H7_RemoveInEveryStateLeaksNothingAndDisturbsNobody) {
  CheckRemoveInEveryState(TorchModel);
}

}  // namespace
}  // namespace dragoman::model
