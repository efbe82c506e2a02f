// The properties of model/engine/engine_properties.h on the torch backbone with random weights:
// fewer cases than on the hash backbone, but real keys, values and positions.
#include "gtest/gtest.h"
#include "model/engine/engine_properties.h"
#include "model/torch/torch_backbone.h"
#include "tests/conformance/tiny_engine_model.h"

namespace dragoman::model {
namespace {

constexpr int kCases = 20;

// Tiny matrices: more threads only wait for each other.
TestModelFactory Models() { return TinyEngineModels(&CreateTorchBackbone, /*threads=*/1); }

TEST(TorchEnginePropertyTest, P1_WaitKDelaysAreExact) {
  EXPECT_GT(CheckWaitKDelays(Models(), kCases), 0);
}

TEST(TorchEnginePropertyTest, P2_SentenceEqualsBatchDecoding) {
  CheckSentenceEqualsBatchDecode(Models(), kCases);
}

TEST(TorchEnginePropertyTest, P3_AdaptiveAtItsBoundsIsWaitK) {
  CheckAdaptiveBounds(Models(), kCases);
}

TEST(TorchEnginePropertyTest, P4_P9_LocalAgreementEqualsPlainRedrafting) {
  EXPECT_GT(CheckLocalAgreement(Models(), kCases), 0);
}

TEST(TorchEnginePropertyTest, AlignAttEqualsItsPlainLoop) {
  const AlignAttCounts counts = CheckAlignAtt(Models(), kCases);
  EXPECT_GT(counts.stops, kCases / 4);
  EXPECT_GT(counts.early_words, kCases / 4);
}

TEST(TorchEnginePropertyTest, P5_AlignAttAtItsBounds) { CheckAlignAttBounds(Models(), kCases); }

TEST(TorchEnginePropertyTest, P6_AnEndBeforeTheEndOfSourceIsARead) {
  EXPECT_GT(CheckEarlyEndIsARead(Models(), kCases), 0);
}

TEST(TorchEnginePropertyTest, P7_StableWordsNeverGrow) {
  CheckStableWordsNeverGrow(Models(), kCases);
}

TEST(TorchEnginePropertyTest, P8_AnyChunkingAndFinishTimeGivesTheSameEvents) {
  CheckChunkingInvariance(Models(), kCases);
}

TEST(TorchEnginePropertyTest, EngineEqualsTheLoopOfTheSpecification) {
  CheckReferenceLoop(Models(), kCases);
}

TEST(TorchEnginePropertyTest, E7_AStarvedStreamEndsWithTheTextItHasAlone) {
  CheckStarvedStreamsKeepTheirText(Models(), 4);
}

TEST(TorchEnginePropertyTest, E8_MemoryIsConstantOverManySegments) {
  CheckManySegmentsKeepMemoryConstant(Models(), 5 * kCases);
}

TEST(TorchEnginePropertyTest, H7_RemoveInEveryStateLeaksNothingAndDisturbsNobody) {
  CheckRemoveInEveryState(Models());
}

}  // namespace
}  // namespace dragoman::model
