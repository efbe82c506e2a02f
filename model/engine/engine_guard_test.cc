// Each guard of streaming.md sections 2 and 6, by targets that are written down beforehand.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "model/engine/engine.h"
#include "model/engine/engine_harness.h"
#include "model/engine/hash_model.h"

namespace dragoman::model {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

class GuardCounter final : public EngineObserver {
 public:
  void OnGuard(TargetGuard guard) override { ++count[guard]; }
  std::map<TargetGuard, int> count;
};

class AlwaysWrite final : public Policy {
 public:
  Decision Decide(const PolicyView&) const override { return Decision::kWrite; }
  std::string name() const override { return "always-write"; }
};

// Tokens without any loop: word starts are even, continuations odd.
std::vector<TokenId> Tokens(int count, bool word_starts) {
  RandomStream random(5, "guards");
  std::vector<TokenId> tokens;
  for (int i = 0; i < count; ++i) {
    tokens.push_back(8 + 2 * static_cast<TokenId>(random.NextBelow(28)) + (word_starts ? 0 : 1));
  }
  return tokens;
}

std::vector<SourceAction> Words(int count, int tokens_per_word = 1) {
  std::vector<SourceWord> words(count);
  for (SourceWord& word : words) word.tokens.assign(tokens_per_word, 10);
  return ActionsOf(std::move(words));
}

struct Outcome {
  std::vector<WordCommitted> words;
  std::vector<SegmentClosed> segments;
  std::map<TargetGuard, int> guards;
};

Outcome Translate(std::vector<TokenId> target, const std::string& policy,
                  const std::vector<SourceAction>& source,
                  EngineOptions options = EngineHarness::SmallOptions(), int32_t positions = 512) {
  const TestModel model =
      MakeHashModel(1, {.max_positions = positions,
                        .script = FixedTarget(MakeFakeVocabulary().layout, std::move(target))});
  GuardCounter guards;
  RecordingSink sink;
  EngineHarness harness(model, options, &guards);
  harness.SendAll(harness.Open(policy, &sink), source);
  harness.Run();
  EXPECT_TRUE(sink.final_status().ok()) << sink.final_status();
  return {sink.Get<WordCommitted>(), sink.Get<SegmentClosed>(), guards.count};
}

TEST(EngineGuardTest, TooLongTargetsEndAtTwiceTheSourcePlusTwenty) {
  const Outcome outcome = Translate(Tokens(200, true), "sentence", Words(3, 2));
  ASSERT_EQ(outcome.segments.size(), 1u);
  EXPECT_EQ(outcome.segments[0].target_tokens, 2u * 6 + 20);
  EXPECT_EQ(outcome.segments[0].guard, TargetGuard::kTooLong);
  EXPECT_THAT(outcome.guards, UnorderedElementsAre(Pair(TargetGuard::kTooLong, 1)));
}

TEST(EngineGuardTest, ATargetOfExactlyTheAllowedLengthIsNotGuarded) {
  const Outcome outcome = Translate(Tokens(32, true), "sentence", Words(3, 2));
  ASSERT_EQ(outcome.segments.size(), 1u);
  EXPECT_EQ(outcome.segments[0].target_tokens, 32u);
  EXPECT_EQ(outcome.segments[0].guard, TargetGuard::kNone);
  EXPECT_TRUE(outcome.guards.empty());
}

TEST(EngineGuardTest, AWordOfTwentyFourTokensIsClosed) {
  const Outcome outcome = Translate(Tokens(70, false), "sentence", Words(30));
  ASSERT_EQ(outcome.segments.size(), 1u);
  ASSERT_EQ(outcome.words.size(), 3u);
  EXPECT_EQ(outcome.words[0].tokens.size(), 24u);
  EXPECT_EQ(outcome.words[1].tokens.size(), 24u);
  EXPECT_EQ(outcome.words[2].tokens.size(), 70u - 48);
  EXPECT_EQ(outcome.words[1].tokens[0] % 2, 0) << "the next word must begin with a word start";
  EXPECT_EQ(outcome.segments[0].guard, TargetGuard::kNone) << "the segment ended by itself";
  EXPECT_THAT(outcome.guards, UnorderedElementsAre(Pair(TargetGuard::kWordTooLong, 1)));
}

TEST(EngineGuardTest, ALoopEndsTheTarget) {
  std::vector<TokenId> loop;
  for (int i = 0; i < 40; ++i) loop.push_back(8 + i % 5);
  const Outcome outcome = Translate(loop, "sentence", Words(30));
  ASSERT_EQ(outcome.segments.size(), 1u);
  EXPECT_EQ(outcome.segments[0].guard, TargetGuard::kLoop);
  EXPECT_EQ(outcome.segments[0].target_tokens, 14u);  // the fifteenth closes the loop
  EXPECT_THAT(outcome.guards, UnorderedElementsAre(Pair(TargetGuard::kLoop, 1)));
}

TEST(EngineGuardTest, ALoopBeforeTheEndOfSourceIsReadOn) {
  const Outcome outcome = Translate(std::vector<TokenId>(40, 8), "wait-k:1", Words(30));
  ASSERT_EQ(outcome.segments.size(), 1u);
  EXPECT_EQ(outcome.segments[0].source_words, 30u);
  EXPECT_EQ(outcome.segments[0].target_tokens, 11u);
  EXPECT_EQ(outcome.segments[0].guard, TargetGuard::kLoop);
  EXPECT_GT(outcome.segments[0].eos_waits, 10u);
  EXPECT_THAT(outcome.guards, UnorderedElementsAre(Pair(TargetGuard::kLoop, 1)));
}

TEST(EngineGuardTest, AFullTargetSideEndsTheTarget) {
  const Outcome outcome =
      Translate(Tokens(200, true), "sentence", Words(10, 2), EngineHarness::SmallOptions(), 32);
  ASSERT_EQ(outcome.segments.size(), 1u);
  EXPECT_EQ(outcome.segments[0].guard, TargetGuard::kTargetFull);
  EXPECT_EQ(outcome.segments[0].target_tokens, 30u);  // phi + h + m + 1 <= C: 0 + 1 + 30 + 1
  EXPECT_THAT(outcome.guards, UnorderedElementsAre(Pair(TargetGuard::kTargetFull, 1)));
}

TEST(EngineGuardTest, AFullTargetSideBeforeTheEndReadsTheRestOfTheSource) {
  EngineOptions options = EngineHarness::SmallOptions();
  options.target_capacity = 8;
  const Outcome outcome = Translate(Tokens(200, true), "wait-k:1", Words(15), options);
  ASSERT_EQ(outcome.segments.size(), 1u);
  EXPECT_EQ(outcome.segments[0].guard, TargetGuard::kTargetFull);
  EXPECT_EQ(outcome.segments[0].source_words, 15u);
  EXPECT_EQ(outcome.segments[0].target_tokens, 7u);
  EXPECT_THAT(outcome.guards, UnorderedElementsAre(Pair(TargetGuard::kTargetFull, 1)));
}

TEST(EngineGuardTest, AFullSourceSideClosesTheSegmentAtTheLastWholeWord) {
  // p + n + e <= 16 leaves 13 source tokens: two words of five.
  const Outcome outcome =
      Translate({8}, "wait-k:2", Words(5, 5), EngineHarness::SmallOptions(), 16);
  ASSERT_EQ(outcome.segments.size(), 3u);
  EXPECT_EQ(outcome.segments[0].cut, SegmentCut::kSourceFull);
  EXPECT_EQ(outcome.segments[0].source_words, 2u);
  EXPECT_EQ(outcome.segments[1].cut, SegmentCut::kSourceFull);
  EXPECT_EQ(outcome.segments[1].sequence_words_end, 4u);
  EXPECT_EQ(outcome.segments[2].cut, SegmentCut::kFinish);
  EXPECT_EQ(outcome.segments[2].source_words, 1u);
  EXPECT_EQ(outcome.segments[2].sequence_words_end, 5u);
}

TEST(EngineGuardTest, AWordThatNoSegmentHoldsIsSpreadAndCountedOnce) {
  std::vector<SourceAction> source = Words(1, 30);
  for (SourceAction& action : Words(1)) source.push_back(action);
  const Outcome outcome = Translate({8}, "wait-k:1", source, EngineHarness::SmallOptions(), 16);
  ASSERT_EQ(outcome.segments.size(), 3u);
  EXPECT_EQ(outcome.segments[0].source_tokens, 13u);
  EXPECT_EQ(outcome.segments[0].sequence_words_end, 0u);
  EXPECT_EQ(outcome.segments[1].source_tokens, 13u);
  EXPECT_EQ(outcome.segments[1].sequence_words_end, 0u);
  EXPECT_EQ(outcome.segments[2].source_tokens, 5u);
  EXPECT_EQ(outcome.segments[2].sequence_words_end, 2u);
  ASSERT_EQ(outcome.words.size(), 3u);
  EXPECT_EQ(outcome.words[0].source_words_read, 1u);
  EXPECT_EQ(outcome.words[0].sequence_words_read, 0u);
}

TEST(EngineGuardTest, WritingTooFarAheadForcesARead) {
  const TestModel model =
      MakeHashModel(1, {.script = FixedTarget(MakeFakeVocabulary().layout, Tokens(100, true))});
  EngineOptions options = EngineHarness::SmallOptions();
  options.max_words_ahead = 5;
  GuardCounter guards;
  RecordingSink sink;
  EngineHarness harness(model, options, &guards);
  SequenceOptions sequence = harness.Options("sentence");
  sequence.policy = std::make_shared<AlwaysWrite>();
  const SequenceId id = harness.Open(std::move(sequence), &sink);

  const std::vector<SourceAction> source = Words(3);
  harness.Send(id, source, 0, 3);
  harness.Run();

  const std::vector<WordCommitted> words = sink.Get<WordCommitted>();
  ASSERT_EQ(words.size(), 8u);  // three visible units and five words ahead
  EXPECT_EQ(words[4].source_words_read, 0u);
  EXPECT_EQ(words[5].source_words_read, 1u);
  EXPECT_EQ(words[7].source_words_read, 3u);
  EXPECT_THAT(guards.count, UnorderedElementsAre(Pair(TargetGuard::kTooFarAhead, 1)));
  EXPECT_TRUE(sink.Get<SegmentClosed>().empty()) << "not an end";
}

TEST(EngineGuardTest, GuardsAreCountedOncePerSegment) {
  std::vector<SourceAction> source = Words(3, 2);
  source[0].word.cut = SegmentCut::kBoundary;
  source[1].word.cut = SegmentCut::kBoundary;
  const Outcome outcome = Translate(Tokens(200, true), "wait-k:1", source);
  EXPECT_EQ(outcome.segments.size(), 3u);
  EXPECT_THAT(outcome.guards, UnorderedElementsAre(Pair(TargetGuard::kTooLong, 3)));
}

}  // namespace
}  // namespace dragoman::model
