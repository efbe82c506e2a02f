// The properties of model/engine/engine_properties.h on the native backbone with random weights:
// fewer cases than on the hash backbone, but real keys, values and positions.
#include "gtest/gtest.h"
#include "model/engine/engine_properties.h"
#include "model/native/native_backbone.h"
#include "tests/conformance/tiny_engine_model.h"

namespace dragoman::model {
namespace {

constexpr int kCases = 200;

// Tiny matrices: more threads only wait for each other.
TestModelFactory Models() { return TinyEngineModels(&CreateNativeBackbone, /*threads=*/1); }

TEST(NativeEnginePropertyTest, P1_WaitKDelaysAreExact) {
  EXPECT_GT(CheckWaitKDelays(Models(), kCases), 0);
}

TEST(NativeEnginePropertyTest, P2_SentenceEqualsBatchDecoding) {
  CheckSentenceEqualsBatchDecode(Models(), kCases);
}

TEST(NativeEnginePropertyTest, P3_AdaptiveAtItsBoundsIsWaitK) {
  CheckAdaptiveBounds(Models(), kCases);
}

TEST(NativeEnginePropertyTest, P4_P9_LocalAgreementEqualsPlainRedrafting) {
  EXPECT_GT(CheckLocalAgreement(Models(), kCases), 0);
}

TEST(NativeEnginePropertyTest, AlignAttEqualsItsPlainLoop) {
  const AlignAttCounts counts = CheckAlignAtt(Models(), kCases);
  EXPECT_GT(counts.stops, kCases / 4);
  EXPECT_GT(counts.early_words, kCases / 4);
}

TEST(NativeEnginePropertyTest, P5_AlignAttAtItsBounds) { CheckAlignAttBounds(Models(), kCases); }

TEST(NativeEnginePropertyTest, P6_AnEndBeforeTheEndOfSourceIsARead) {
  EXPECT_GT(CheckEarlyEndIsARead(Models(), kCases), 0);
}

TEST(NativeEnginePropertyTest, P7_StableWordsNeverGrow) {
  CheckStableWordsNeverGrow(Models(), kCases);
}

TEST(NativeEnginePropertyTest, P8_AnyChunkingAndFinishTimeGivesTheSameEvents) {
  CheckChunkingInvariance(Models(), kCases);
}

TEST(NativeEnginePropertyTest, EngineEqualsTheLoopOfTheSpecification) {
  CheckReferenceLoop(Models(), kCases);
}

TEST(NativeEnginePropertyTest, E7_AStarvedStreamEndsWithTheTextItHasAlone) {
  CheckStarvedStreamsKeepTheirText(Models(), 4);
}

TEST(NativeEnginePropertyTest, E8_MemoryIsConstantOverManySegments) {
  CheckManySegmentsKeepMemoryConstant(Models(), 5 * kCases);
}

TEST(NativeEnginePropertyTest, H7_RemoveInEveryStateLeaksNothingAndDisturbsNobody) {
  CheckRemoveInEveryState(Models());
}

}  // namespace
}  // namespace dragoman::model
