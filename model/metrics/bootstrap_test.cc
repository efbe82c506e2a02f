#include "model/metrics/bootstrap.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "base/file.h"
#include "base/json.h"

namespace dragoman::model {
namespace {

std::string GoldenPath(const std::string& name) {
  return std::string(DRAGOMAN_SOURCE_DIR) + "/tests/golden/metrics/" + name;
}

// A two-dimensional uint8 array of a NumPy file, version 1.
ResampleIndices ReadIndices(const std::string& name, size_t segments) {
  const std::string bytes = ReadFile(GoldenPath(name)).value();
  EXPECT_EQ(bytes.substr(0, 8), std::string("\x93NUMPY\x01\x00", 8));
  const size_t header =
      static_cast<unsigned char>(bytes[8]) + 256u * static_cast<unsigned char>(bytes[9]);
  EXPECT_NE(bytes.substr(10, header).find("'|u1', 'fortran_order': False"), std::string::npos);
  std::vector<uint32_t> indices;
  for (size_t i = 10 + header; i < bytes.size(); ++i) {
    indices.push_back(static_cast<unsigned char>(bytes[i]));
  }
  return MakeResamples(segments, std::move(indices)).value();
}

struct System {
  std::vector<BleuStatistics> bleu;
  std::vector<ChrfStatistics> chrf;
  BleuStatistics bleu_sum;
  ChrfStatistics chrf_sum;
};

System Collect(const Json& lines, const Json& references) {
  System system;
  for (size_t i = 0; i < lines.size(); ++i) {
    const auto line = lines[i].get<std::string>();
    const auto reference = references[i].get<std::string>();
    system.bleu.push_back(CollectBleu(line, reference));
    system.chrf.push_back(CollectChrf(line, reference));
    system.bleu_sum += system.bleu.back();
    system.chrf_sum += system.chrf.back();
  }
  return system;
}

void ExpectMetric(const Json& expected, const std::vector<double>& baseline,
                  const std::vector<double>& system, double baseline_score, double system_score) {
  EXPECT_NEAR(baseline_score, expected["baseline"]["score"].get<double>(), 1e-9);
  EXPECT_NEAR(system_score, expected["system"]["score"].get<double>(), 1e-9);
  const BootstrapInterval interval = SummarizeResamples(baseline);
  EXPECT_NEAR(interval.mean, expected["baseline"]["mean"].get<double>(), 1e-3);
  EXPECT_NEAR(interval.low, expected["baseline"]["sorted_index_25"].get<double>(), 1e-3);
  EXPECT_NEAR(interval.high, expected["baseline"]["sorted_index_974"].get<double>(), 1e-3);
  EXPECT_NEAR(interval.half_width(), expected["baseline"]["ci"].get<double>(), 1e-3);
  EXPECT_NEAR(SummarizeResamples(system).mean, expected["system"]["mean"].get<double>(), 1e-3);
  EXPECT_NEAR(SummarizeResamples(system).half_width(), expected["system"]["ci"].get<double>(),
              1e-3);
  for (size_t b = 0; b < 10; ++b) {
    EXPECT_NEAR(baseline[b], expected["baseline"]["first_10_resample_scores"][b].get<double>(),
                1e-3);
  }
  EXPECT_NEAR(PairedPValue(baseline, system, baseline_score, system_score),
              expected["paired_p_value"].get<double>(), 1e-9);
}

TEST(BootstrapTest, M3_StoredIndicesGiveSacreBleuIntervalsAndPValues) {
  const Json golden = ReadJsonFile(GoldenPath("bootstrap.json")).value();
  ASSERT_EQ(golden["cases"].size(), 3u);
  for (const Json& item : golden["cases"]) {
    SCOPED_TRACE(item["id"].get<std::string>());
    const Json& references = item["references"][0];
    const System baseline = Collect(item["baseline"], references);
    const System system = Collect(item["system"], references);

    const ResampleIndices indices =
        ReadIndices(item["indices"].get<std::string>(), references.size());

    ASSERT_EQ(indices.resamples(), 1000u);
    ExpectMetric(item["metrics"]["bleu"], ResampleBleu(baseline.bleu, indices),
                 ResampleBleu(system.bleu, indices), ScoreBleu(baseline.bleu_sum).score,
                 ScoreBleu(system.bleu_sum).score);
    ExpectMetric(item["metrics"]["chrf2"], ResampleChrf(baseline.chrf, indices),
                 ResampleChrf(system.chrf, indices), ScoreChrf(baseline.chrf_sum),
                 ScoreChrf(system.chrf_sum));
  }
}

TEST(BootstrapTest, M3_BoundsRepeatForTheSameSeed) {
  std::vector<double> lags;
  for (int i = 0; i < 50; ++i) lags.push_back(i % 7);

  const auto first = SummarizeResamples(ResampleMean(lags, DrawResamples(50)));
  const auto second = SummarizeResamples(ResampleMean(lags, DrawResamples(50)));
  const auto other = SummarizeResamples(ResampleMean(lags, DrawResamples(50, 1000, 54321)));

  EXPECT_EQ(first.low, second.low);
  EXPECT_EQ(first.high, second.high);
  EXPECT_EQ(first.mean, second.mean);
  EXPECT_NE(first.mean, other.mean);
  EXPECT_LT(first.low, first.mean);
  EXPECT_GT(first.high, first.mean);
}

TEST(BootstrapTest, DrawsEverySegmentAboutEquallyOften) {
  const ResampleIndices indices = DrawResamples(10);
  std::vector<int> counts(10);
  for (const uint32_t index : indices.indices) ++counts[index];

  EXPECT_EQ(indices.resamples(), 1000u);
  EXPECT_GT(*std::min_element(counts.begin(), counts.end()), 900);
  EXPECT_LT(*std::max_element(counts.begin(), counts.end()), 1100);
}

TEST(BootstrapTest, IdenticalResamplesCountOnlyTheCorrection) {
  const std::vector<double> scores = {1, 2, 3, 4};

  // No |d_b| - mean exceeds a difference of zero, so only the "+1" counts.
  EXPECT_NEAR(PairedPValue(scores, scores, 2.5, 2.5), 0.2, 1e-12);
}

TEST(BootstrapTest, RefusesIndicesOutOfRange) {
  EXPECT_FALSE(MakeResamples(3, {0, 1, 3}).ok());
  EXPECT_FALSE(MakeResamples(3, {0, 1}).ok());
  EXPECT_FALSE(MakeResamples(0, {}).ok());
  EXPECT_TRUE(MakeResamples(3, {0, 1, 2}).ok());
}

TEST(BootstrapTest, NoSegmentsGiveNoResamples) {
  EXPECT_EQ(DrawResamples(0).resamples(), 0u);
  EXPECT_EQ(SummarizeResamples({}).mean, 0.0);
}

}  // namespace
}  // namespace dragoman::model
