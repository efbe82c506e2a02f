// The properties of engine_properties.h on the hash backbone, whose seeds stand for random weights.
#include <gtest/gtest.h>

#include "model/engine/engine_properties.h"
#include "model/engine/hash_model.h"

namespace dragoman::model {
namespace {

// Two header rows, so that one of them is kept between segments.
TestModelFactory HashModels(double end_probability, double word_start_probability = 0.5) {
  return [=](uint64_t seed) {
    return MakeHashModel(
        seed,
        {.end_probability = end_probability, .word_start_probability = word_start_probability},
        MakeFakeVocabulary(64, /*prompt_rows=*/2, /*header_rows=*/2));
  };
}

TEST(EnginePropertyTest, P1_WaitKDelaysAreExactForEveryTargetWord) {
  EXPECT_EQ(CheckWaitKDelays(HashModels(0.0), 100), 100);
}

TEST(EnginePropertyTest, P1_ReadsAfterAnEarlyEndAreCountedApart) {
  const int exact = CheckWaitKDelays(HashModels(0.05), 100);
  EXPECT_GT(exact, 10);
  EXPECT_LT(exact, 90);
}

TEST(EnginePropertyTest, P2_SentenceEqualsBatchDecoding) {
  CheckSentenceEqualsBatchDecode(HashModels(0.1), 100);
}

TEST(EnginePropertyTest, P6_AnEndBeforeTheEndOfSourceIsARead) {
  EXPECT_GT(CheckEarlyEndIsARead(HashModels(0.4), 100), 100);
}

TEST(EnginePropertyTest, P7_StableWordsNeverGrow) {
  CheckStableWordsNeverGrow(HashModels(0.15, 0.3), 1000);
}

TEST(EnginePropertyTest, P8_AnyChunkingAndFinishTimeGivesTheSameEvents) {
  CheckChunkingInvariance(HashModels(0.1), 1000);
}

TEST(EnginePropertyTest, EngineEqualsTheLoopOfTheSpecification) {
  CheckReferenceLoop(HashModels(0.15, 0.3), 500);
}

TEST(EnginePropertyTest, E7_AStarvedStreamEndsWithTheTextItHasAlone) {
  CheckStarvedStreamsKeepTheirText(HashModels(0.1), 16);
}

TEST(EnginePropertyTest, E8_MemoryIsConstantOverTenThousandSegments) {
  CheckManySegmentsKeepMemoryConstant(HashModels(0.1), 10000);
}

TEST(EnginePropertyTest, H7_RemoveInEveryStateLeaksNothingAndDisturbsNobody) {
  CheckRemoveInEveryState(HashModels(0.1));
}

}  // namespace
}  // namespace dragoman::model
