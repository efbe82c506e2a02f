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

// Every target token has two candidates, and from some length of visible source on it is the second
// one: hypotheses change for a while and then agree, as those of a trained model do.
TestModelFactory SettlingModels() {
  return [](uint64_t seed) {
    const FakeVocabulary vocabulary = MakeFakeVocabulary(64, 2, 2);
    HashBackboneOptions options{.end_probability = 0.1, .word_start_probability = 0.5};
    const TokenTraits& traits = vocabulary.traits;
    std::vector<TokenId> words;
    for (TokenId id = 0; id < static_cast<TokenId>(traits.flags.size()); ++id) {
      if (!traits.IsSuppressed(id) && id != vocabulary.layout.end_of_target) words.push_back(id);
    }
    options.script = [seed, words](const HashRowView& row) -> std::optional<TokenId> {
      const size_t index = row.target.size();
      RandomStream random(seed, "settling", 0, index);
      const size_t settles_at = 2 + random.NextBelow(3 * index + 4);
      const size_t first = random.NextBelow(words.size()), second = random.NextBelow(words.size());
      if (random.NextBelow(12) == 0) return std::nullopt;  // the hash decides, also for the end
      return words[row.source.size() < settles_at ? first : second];
    };
    return MakeHashModel(seed, std::move(options), vocabulary);
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

TEST(EnginePropertyTest, P3_AdaptiveAtItsBoundsIsWaitK) {
  CheckAdaptiveBounds(HashModels(0.1), 200);
}

TEST(EnginePropertyTest, P4_P9_LocalAgreementEqualsPlainRedrafting) {
  EXPECT_GT(CheckLocalAgreement(SettlingModels(), 300), 300);
  CheckLocalAgreement(HashModels(0.1), 200);
}

TEST(EnginePropertyTest, AlignAttEqualsItsPlainLoop) {
  const AlignAttCounts counts = CheckAlignAtt(HashModels(0.1), 500);
  EXPECT_GT(counts.stops, 300);
  EXPECT_GT(counts.early_words, 300);
}

TEST(EnginePropertyTest, P5_AlignAttAtItsBounds) { CheckAlignAttBounds(HashModels(0.1), 200); }

TEST(EnginePropertyTest, V6_NoWordLagsMoreThanTheBound) {
  EXPECT_GT(CheckLagBound(HashModels(0.1), 300), 300);
}

TEST(EnginePropertyTest, P6_AnEndBeforeTheEndOfSourceIsARead) {
  EXPECT_GT(CheckEarlyEndIsARead(HashModels(0.4), 100), 100);
}

TEST(EnginePropertyTest, P7_StableWordsNeverGrow) {
  CheckStableWordsNeverGrow(HashModels(0.15, 0.3), 1000);
}

TEST(EnginePropertyTest, P8_AnyChunkingAndFinishTimeGivesTheSameEvents) {
  CheckChunkingInvariance(HashModels(0.1), 1000);
  CheckChunkingInvariance(SettlingModels(), 500);
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
