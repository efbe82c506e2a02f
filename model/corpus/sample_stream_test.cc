#include "model/corpus/sample_stream.h"

#include <algorithm>
#include <set>

#include "base/random.h"
#include "gtest/gtest.h"

namespace dragoman::model {
namespace {

std::vector<Sample> MakeSamples(size_t count) {
  std::vector<Sample> samples(count);
  for (size_t i = 0; i < count; ++i) {
    RandomStream random(5, "samples", 0, i);
    samples[i].id = i;
    samples[i].corpus = i % 4 == 0;
    samples[i].source.resize(1 + random.NextBelow(40));
    samples[i].target.resize(1 + random.NextBelow(40));
  }
  return samples;
}

TEST(SampleStreamTest, VisitsEverySampleOncePerEpochWithinTheBudget) {
  const std::vector<Sample> samples = MakeSamples(3000);
  SampleStreamOptions options;
  options.batch_tokens = 1000;
  options.window_batches = 10;

  const auto batches = PlanEpoch(samples, options, 0);

  std::multiset<uint32_t> seen;
  for (const auto& batch : batches) {
    size_t source = 0, target = 0;
    for (const uint32_t index : batch) {
      seen.insert(index);
      source = std::max(source, samples[index].source.size());
      target = std::max(target, samples[index].target.size());
    }
    EXPECT_LE((source + target + options.overhead_tokens) * batch.size(), options.batch_tokens);
  }
  EXPECT_EQ(seen.size(), samples.size());
  EXPECT_EQ(std::set<uint32_t>(seen.begin(), seen.end()).size(), samples.size());
}

TEST(SampleStreamTest, RepeatsForAnEpochAndDiffersBetweenEpochs) {
  const std::vector<Sample> samples = MakeSamples(500);
  const SampleStreamOptions options;

  EXPECT_EQ(PlanEpoch(samples, options, 3), PlanEpoch(samples, options, 3));
  EXPECT_NE(PlanEpoch(samples, options, 3), PlanEpoch(samples, options, 4));
}

TEST(SampleStreamTest, CorpusWeightsChangeHowOftenASampleComes) {
  const std::vector<Sample> samples = MakeSamples(4000);
  SampleStreamOptions options;
  options.corpus_weights = {{0, 0.25}, {1, 2.0}};

  size_t rare = 0, frequent = 0;
  for (const auto& batch : PlanEpoch(samples, options, 0)) {
    for (const uint32_t index : batch) (samples[index].corpus == 0 ? rare : frequent) += 1;
  }

  EXPECT_NEAR(static_cast<double>(rare), 750, 80);
  EXPECT_EQ(frequent, 2000u);
}

TEST(SampleStreamTest, LeavesOutSidesThatAreTooLong) {
  const std::vector<Sample> samples = MakeSamples(200);
  SampleStreamOptions options;
  options.max_side_tokens = 10;

  for (const auto& batch : PlanEpoch(samples, options, 0)) {
    for (const uint32_t index : batch) {
      EXPECT_LE(samples[index].source.size(), 10u);
      EXPECT_LE(samples[index].target.size(), 10u);
    }
  }
}

}  // namespace
}  // namespace dragoman::model
