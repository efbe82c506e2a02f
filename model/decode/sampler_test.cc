#include "model/decode/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/random.h"

namespace dragoman::model {
namespace {

constexpr TokenId kEnd = 2;

TokenTraits MakeTraits(size_t size) {
  TokenTraits traits;
  traits.flags.assign(size, 0);
  for (size_t i = 0; i < size; ++i) {
    if (i < 8 && i != kEnd) traits.flags[i] = TokenTraits::kSuppressed;
    if (i >= 8 && i % 3 == 0) traits.flags[i] = TokenTraits::kWordStart;
  }
  return traits;
}

// Plain loop with the words of the contract.
TokenId ReferenceSelect(const TokenTraits& traits, const std::vector<float>& logits, bool lock) {
  TokenId best = -1;
  for (TokenId id = 0; id < static_cast<TokenId>(logits.size()); ++id) {
    if (traits.IsSuppressed(id)) continue;
    if (lock && !traits.IsWordStart(id) && id != kEnd) continue;
    if (best < 0 || logits[id] > logits[best]) best = id;
  }
  return best;
}

TEST(GreedySamplerTest, EqualsAPlainLoopOnRandomRowsOfManySizes) {
  for (const size_t size : {9u, 16u, 17u, 31u, 32u, 100u, 8000u, 12345u}) {
    const TokenTraits traits = MakeTraits(size);
    const GreedySampler sampler(traits);
    RandomStream random(7, "sampler", 0, size);
    std::vector<float> logits(size);
    for (int round = 0; round < 50; ++round) {
      // Few distinct values, so that ties are common.
      for (float& x : logits) x = static_cast<float>(random.NextBelow(round + 1)) - 5.0f;
      for (const bool lock : {false, true}) {
        const auto token = sampler.Select(logits, kEnd, lock);
        ASSERT_TRUE(token.ok()) << token.status();
        EXPECT_EQ(*token, ReferenceSelect(traits, logits, lock)) << "size " << size;
      }
    }
  }
}

TEST(GreedySamplerTest, NeverSelectsASuppressedId) {
  const GreedySampler sampler(MakeTraits(64));
  std::vector<float> logits(64, 0.0f);
  for (const TokenId id : {0, 1, 3, 7}) logits[id] = 1000.0f;
  logits[10] = 1.0f;
  EXPECT_EQ(sampler.Select(logits, kEnd, false).value(), 10);
}

TEST(GreedySamplerTest, BoundaryLockLeavesWordStartsAndTheEnd) {
  const GreedySampler sampler(MakeTraits(64));
  std::vector<float> logits(64, 0.0f);
  logits[10] = 9.0f;  // continues a word
  logits[12] = 5.0f;  // starts a word
  EXPECT_EQ(sampler.Select(logits, kEnd, false).value(), 10);
  EXPECT_EQ(sampler.Select(logits, kEnd, true).value(), 12);
  logits[kEnd] = 6.0f;
  EXPECT_EQ(sampler.Select(logits, kEnd, true).value(), kEnd);
}

TEST(GreedySamplerTest, TiesGoToTheLowestId) {
  const GreedySampler sampler(MakeTraits(64));
  std::vector<float> logits(64, 0.0f);
  logits[40] = logits[33] = logits[50] = 3.0f;
  EXPECT_EQ(sampler.Select(logits, kEnd, false).value(), 33);
  logits[kEnd] = 3.0f;
  EXPECT_EQ(sampler.Select(logits, kEnd, false).value(), kEnd);
  EXPECT_EQ(sampler.Select(logits, kEnd, true).value(), kEnd);
}

TEST(GreedySamplerTest, SelectTextNeverEndsTheTarget) {
  const GreedySampler sampler(MakeTraits(64));
  std::vector<float> logits(64, 0.0f);
  logits[kEnd] = 9.0f;
  logits[10] = 5.0f;  // continues a word
  logits[12] = 4.0f;  // starts a word
  EXPECT_EQ(sampler.SelectText(logits, kEnd, false).value(), 10);
  EXPECT_EQ(sampler.SelectText(logits, kEnd, true).value(), 12);
  logits[40] = 5.0f;
  EXPECT_EQ(sampler.SelectText(logits, kEnd, false).value(), 10);
  logits[50] = std::nanf("");
  EXPECT_EQ(sampler.SelectText(logits, kEnd, false).status().code(), absl::StatusCode::kInternal);
}

TEST(GreedySamplerTest, ProbabilityIsThatOfSoftmax) {
  const std::vector<float> logits = {1000.0f, 1000.0f + std::log(3.0f), -1000.0f};
  EXPECT_NEAR(GreedySampler::Probability(logits, 0), 0.25f, 1e-4);
  EXPECT_NEAR(GreedySampler::Probability(logits, 1), 0.75f, 1e-4);
  EXPECT_EQ(GreedySampler::Probability(logits, 2), 0.0f);
}

TEST(GreedySamplerTest, RefusesARowWithAnyLogitThatIsNotFinite) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const GreedySampler sampler(MakeTraits(67));
  for (const float bad : {std::nanf(""), kInfinity, -kInfinity}) {
    for (const size_t index : {0u, 1u, 2u, 15u, 16u, 40u, 63u, 64u, 66u}) {
      std::vector<float> logits(67, 0.5f);
      logits[index] = bad;
      for (const bool lock : {false, true}) {
        const auto token = sampler.Select(logits, kEnd, lock);
        ASSERT_FALSE(token.ok()) << "index " << index << " value " << bad;
        EXPECT_EQ(token.status().code(), absl::StatusCode::kInternal);
      }
    }
  }
}

}  // namespace
}  // namespace dragoman::model
