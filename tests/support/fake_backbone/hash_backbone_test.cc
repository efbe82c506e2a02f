#include "tests/support/fake_backbone/hash_backbone.h"

#include <gtest/gtest.h>

#include <cmath>

#include "model/decode/sampler.h"

namespace dragoman::model {
namespace {

HashBackboneOptions MakeOptions(const FakeVocabulary& vocabulary) {
  HashBackboneOptions options;
  options.traits = vocabulary.traits;
  options.end_of_target = vocabulary.layout.end_of_target;
  options.max_positions = 64;
  options.max_pages = 32;
  return options;
}

StepRow SourceRow(StreamId stream, int32_t index, TokenId token) {
  return {.token = token, .stream = stream, .side = Side::kSource, .position = index};
}

StepRow TargetRow(StreamId stream, int32_t index, TokenId token, int32_t src_vis) {
  return {.token = token,
          .stream = stream,
          .side = Side::kTarget,
          .position = index,
          .src_vis = src_vis,
          .want_logits = true};
}

// Logits of target row `last` after a source of 6 tokens, of which `src_vis` are visible.
std::vector<float> LogitsOf(HashBackbone* backbone, const std::vector<TokenId>& source,
                            const std::vector<TokenId>& target, int32_t src_vis) {
  const StreamId stream = backbone->Open(64, 64, 0).value();
  StepBatch batch;
  for (size_t i = 0; i < source.size(); ++i) {
    batch.rows.push_back(SourceRow(stream, static_cast<int32_t>(i), source[i]));
  }
  for (size_t i = 0; i < target.size(); ++i) {
    batch.rows.push_back(TargetRow(stream, static_cast<int32_t>(i), target[i], src_vis));
  }
  StepOutput output;
  EXPECT_TRUE(backbone->Forward(batch, &output).ok());
  const float* last = output.row(target.size() - 1);
  std::vector<float> logits(last, last + output.vocab_size);
  EXPECT_TRUE(backbone->Close(stream).ok());
  return logits;
}

TEST(HashBackboneTest, LogitsDependOnTheKeySetAndOnNothingElse) {
  const FakeVocabulary vocabulary = MakeFakeVocabulary();
  HashBackbone backbone(MakeOptions(vocabulary));
  const std::vector<TokenId> source = {8, 9, 10, 11, 12, 13};
  const std::vector<TokenId> target = {4, 20};
  const std::vector<float> logits = LogitsOf(&backbone, source, target, 3);

  EXPECT_EQ(LogitsOf(&backbone, source, target, 3), logits);
  EXPECT_EQ(LogitsOf(&backbone, {8, 9, 10, 14, 15, 16}, target, 3), logits);
  EXPECT_NE(LogitsOf(&backbone, source, target, 4), logits);
  EXPECT_NE(LogitsOf(&backbone, {8, 9, 14, 11, 12, 13}, target, 3), logits);
  EXPECT_NE(LogitsOf(&backbone, {9, 8, 10, 11, 12, 13}, target, 3), logits);
  EXPECT_NE(LogitsOf(&backbone, source, {4, 21}, 3), logits);
  EXPECT_NE(LogitsOf(&backbone, source, {5, 20}, 3), logits);
}

TEST(HashBackboneTest, AStaleRowChangesTheLogits) {
  const FakeVocabulary vocabulary = MakeFakeVocabulary();
  HashBackbone backbone(MakeOptions(vocabulary));
  const StreamId stream = backbone.Open(64, 64, 0).value();
  StepOutput output;
  ASSERT_TRUE(backbone.Forward({{SourceRow(stream, 0, 8), SourceRow(stream, 1, 9)}}, &output).ok());
  ASSERT_TRUE(backbone.Forward({{TargetRow(stream, 0, 4, 1)}}, &output).ok());
  ASSERT_TRUE(backbone.Forward({{TargetRow(stream, 1, 20, 2)}}, &output).ok());
  const std::vector<float> baked = output.logits;

  // The same last row over a first row that had seen more source.
  ASSERT_TRUE(backbone.Truncate(stream, Side::kTarget, 0).ok());
  ASSERT_TRUE(backbone.Forward({{TargetRow(stream, 0, 4, 2)}}, &output).ok());
  ASSERT_TRUE(backbone.Forward({{TargetRow(stream, 1, 20, 2)}}, &output).ok());

  EXPECT_NE(output.logits, baked);
}

TEST(HashBackboneTest, KnobsSetHowOftenEachClassIsOnTop) {
  const FakeVocabulary vocabulary = MakeFakeVocabulary();
  HashBackboneOptions options = MakeOptions(vocabulary);
  options.end_probability = 0.2;
  options.word_start_probability = 0.3;
  options.suppressed_probability = 0.5;
  HashBackbone backbone(options);
  const GreedySampler sampler(vocabulary.traits);
  int ends = 0, starts = 0, suppressed = 0;
  constexpr int kRounds = 2000;
  for (int i = 0; i < kRounds; ++i) {
    const std::vector<float> logits = LogitsOf(&backbone, {8, 9}, {4, 8 + i % 56, 8 + i / 56}, 1);
    const TokenId token = sampler.Select(logits, options.end_of_target, false).value();
    if (token == options.end_of_target) ++ends;
    if (vocabulary.traits.IsWordStart(token)) ++starts;
    for (TokenId id = 0; id < FakeVocabulary::kFirstText; ++id) {
      if (logits[id] > logits[token]) ++suppressed;
    }
  }
  EXPECT_NEAR(ends, 0.2 * kRounds, 0.04 * kRounds);
  EXPECT_NEAR(starts, 0.3 * kRounds, 0.04 * kRounds);
  EXPECT_NEAR(suppressed, 0.5 * kRounds, 0.05 * kRounds);
}

TEST(HashBackboneTest, ScriptsDecideTheTopToken) {
  const FakeVocabulary vocabulary = MakeFakeVocabulary(64, /*prompt_rows=*/1, /*header_rows=*/1);
  HashBackboneOptions options = MakeOptions(vocabulary);
  options.script = EchoSource(vocabulary.layout);
  HashBackbone echo(options);
  options.script = FixedTarget(vocabulary.layout, {30, 31});
  HashBackbone fixed(options);
  const GreedySampler sampler(vocabulary.traits);
  const auto next = [&](HashBackbone* backbone, const std::vector<TokenId>& target, int32_t vis) {
    // The prompt is not set, so that src_vis counts it.
    return sampler.Select(LogitsOf(backbone, {1, 8, 9, 3}, target, vis + 1), 2, false).value();
  };

  EXPECT_EQ(next(&echo, {4}, 1), 8);
  EXPECT_EQ(next(&echo, {4, 8}, 1), 2);
  EXPECT_EQ(next(&echo, {4, 8}, 2), 9);
  EXPECT_EQ(next(&echo, {4, 8, 9}, 3), 2);
  EXPECT_EQ(next(&fixed, {4}, 0), 30);
  EXPECT_EQ(next(&fixed, {4, 30}, 0), 31);
  EXPECT_EQ(next(&fixed, {4, 30, 31}, 0), 2);
}

TEST(HashBackboneTest, PoisonReachesTheRowsThatSeeItAndNoOthers) {
  const FakeVocabulary vocabulary = MakeFakeVocabulary();
  HashBackboneOptions options = MakeOptions(vocabulary);
  options.poison_token = 10;
  HashBackbone backbone(options);
  const auto finite = [&](int32_t src_vis) {
    for (const float x : LogitsOf(&backbone, {8, 9, 10}, {4}, src_vis)) {
      if (!std::isfinite(x)) return false;
    }
    return true;
  };
  EXPECT_TRUE(finite(2));
  EXPECT_FALSE(finite(3));
}

TEST(HashBackboneTest, AForwardMadeToFailChangesNothing) {
  const FakeVocabulary vocabulary = MakeFakeVocabulary();
  HashBackbone backbone(MakeOptions(vocabulary));
  const StreamId stream = backbone.Open(64, 64, 0).value();
  StepOutput output;
  backbone.FailNextForwards(1);

  EXPECT_EQ(backbone.Forward({{SourceRow(stream, 0, 8)}}, &output).code(),
            absl::StatusCode::kInternal);
  EXPECT_EQ(backbone.Lengths(stream)->source_side, 0);
  EXPECT_TRUE(backbone.Forward({{SourceRow(stream, 0, 8)}}, &output).ok());
}

TEST(HashBackboneTest, CachedRowsCanBeRead) {
  const FakeVocabulary vocabulary = MakeFakeVocabulary();
  HashBackbone backbone(MakeOptions(vocabulary));
  const StreamId stream = backbone.Open(64, 64, 0).value();
  StepOutput output;
  ASSERT_TRUE(backbone.Forward({{SourceRow(stream, 0, 8), SourceRow(stream, 1, 8)}}, &output).ok());
  std::vector<float> first, second;
  ASSERT_TRUE(backbone.ReadCache(stream, Side::kSource, 0, 0, true, &first).ok());
  ASSERT_TRUE(backbone.ReadCache(stream, Side::kSource, 1, 0, true, &second).ok());
  EXPECT_NE(first, second);
  EXPECT_EQ(backbone.ReadCache(stream, Side::kSource, 2, 0, true, &first).code(),
            absl::StatusCode::kOutOfRange);
  EXPECT_EQ(backbone.ReadCache(stream, Side::kTarget, 0, 0, true, &first).code(),
            absl::StatusCode::kOutOfRange);
}

}  // namespace
}  // namespace dragoman::model
