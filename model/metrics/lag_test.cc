#include "model/metrics/lag.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <string>

#include "base/json.h"
#include "base/random.h"

namespace dragoman::model {
namespace {

Json ReadGolden() {
  return ReadJsonFile(std::string(DRAGOMAN_SOURCE_DIR) + "/tests/golden/metrics/lag.json").value();
}

LagSegment MakeSegment(const Json& item) {
  LagSegment segment;
  segment.source_length = item["source_length"].get<double>();
  if (!item["reference_words"].is_null()) {
    segment.reference_words = item["reference_words"].get<int64_t>();
  }
  segment.delays = item["delays"].get<std::vector<double>>();
  return segment;
}

void ExpectNear(double value, const Json& expected, const std::string& what) {
  if (!expected.is_number()) return;  // undefined there
  const auto number = expected.get<double>();
  EXPECT_NEAR(value, number, 1e-9 * std::max(1.0, std::abs(number))) << what;
}

TEST(LagTest, M2_ScoresEqualStoredSimulEvalValues) {
  const Json golden = ReadGolden();
  int scored = 0;
  for (const Json& item : golden["cases"]) {
    SCOPED_TRACE(item["id"].get<std::string>());
    const LagSegment segment = MakeSegment(item);
    const Json& reference = item["with_reference_length"];
    const Json& hypothesis = item["with_hypothesis_length"];

    const std::optional<LagScores> scores = ScoreLag(segment);

    ASSERT_EQ(scores.has_value(), !segment.delays.empty());
    if (!scores.has_value()) {
      EXPECT_EQ(reference["AL"].get<std::string>(), "skipped: no delays");
      continue;
    }
    ExpectNear(scores->al, reference["AL"], "AL");
    ExpectNear(scores->laal, reference["LAAL"], "LAAL");
    ExpectNear(scores->ap_ref, reference["AP"], "AP_ref");
    ExpectNear(scores->ap, hypothesis["AP"], "AP");
    ExpectNear(scores->dal, reference["DAL"], "DAL");
    ++scored;

    LagSegment without = segment;
    without.reference_words.reset();
    const LagScores own_length = ScoreLag(without).value();
    ExpectNear(own_length.al, hypothesis["AL"], "AL, hypothesis length");
    ExpectNear(own_length.laal, hypothesis["LAAL"], "LAAL, hypothesis length");
    ExpectNear(own_length.dal, hypothesis["DAL"], "DAL, hypothesis length");
  }
  EXPECT_EQ(scored, 64);
}

TEST(LagTest, M2_CorpusMeansLeaveOutAndCountEmptyHypotheses) {
  const Json golden = ReadGolden();
  std::map<std::string, LagSegment> by_id;
  for (const Json& item : golden["cases"]) by_id[item["id"].get<std::string>()] = MakeSegment(item);
  ASSERT_EQ(golden["corpus_means"].size(), 3u);
  for (const Json& item : golden["corpus_means"]) {
    SCOPED_TRACE(item["id"].get<std::string>());
    std::vector<LagSegment> segments;
    for (const Json& id : item["cases"]) segments.push_back(by_id.at(id.get<std::string>()));

    const LagCorpusScores scores = ScoreLagCorpus(segments);

    EXPECT_EQ(scores.scored, item["scored"].get<size_t>());
    EXPECT_EQ(scores.skipped, segments.size() - scores.scored);
    ExpectNear(scores.mean.al, item["with_reference_length"]["AL"], "AL");
    ExpectNear(scores.mean.laal, item["with_reference_length"]["LAAL"], "LAAL");
    ExpectNear(scores.mean.ap_ref, item["with_reference_length"]["AP"], "AP_ref");
    ExpectNear(scores.mean.ap, item["with_hypothesis_length"]["AP"], "AP");
    ExpectNear(scores.mean.dal, item["with_reference_length"]["DAL"], "DAL");
  }
}

TEST(LagTest, EmptySourceHasDefinedScores) {
  const LagScores scores = ScoreLag({0, 2, {0, 0}}).value();

  EXPECT_NEAR(scores.al, 0, 1e-12);
  EXPECT_NEAR(scores.laal, 0, 1e-12);
  EXPECT_NEAR(scores.ap, 1, 1e-12);
  EXPECT_NEAR(scores.ap_ref, 1, 1e-12);
  EXPECT_NEAR(scores.dal, 0, 1e-12);
}

TEST(LagTest, LaalIsNeverBelowAl) {
  RandomStream random(12345, "laal");
  for (int round = 0; round < 1000; ++round) {
    LagSegment segment;
    segment.source_length = static_cast<double>(1 + random.NextBelow(20));
    segment.reference_words = static_cast<int64_t>(random.NextBelow(20));
    const size_t words = 1 + random.NextBelow(25);
    double delay = 1;
    for (size_t i = 0; i < words; ++i) {
      delay = std::min(segment.source_length, delay + static_cast<double>(random.NextBelow(3)));
      segment.delays.push_back(delay);
    }

    const LagScores scores = ScoreLag(segment).value();

    EXPECT_GE(scores.laal, scores.al - 1e-12);
  }
}

TEST(LagTest, GpeLagCountsTheMarkerAndTheHypothesis) {
  // X + 1 = 4, two words: ((1 - 0) + (4 - 4/2)) / 2.
  EXPECT_NEAR(ScoreLag({3, 9, {1, 4}}).value().gpe_al, 1.5, 1e-12);
}

TEST(LagTest, ComputationAwareLaalUsesEmitTimes) {
  // Source of 2 s, slope 2 / 4 s per word; tau = 3, the first time past the end.
  const std::vector<double> emit_times = {0.5, 1.0, 2.25, 2.5};

  const double laal = ComputationAwareLaal(emit_times, 2.0, 3).value();

  EXPECT_NEAR(laal, ((0.5 - 0) + (1.0 - 0.5) + (2.25 - 1.0)) / 3, 1e-12);
  EXPECT_FALSE(ComputationAwareLaal({}, 2.0, 3).has_value());
}

TEST(LagTest, EmissionLatencyStartsAtTheWordThatAllowedIt) {
  const std::vector<double> arrivals = {0.0, 0.35, 0.7};
  const std::vector<double> emitted = {0.1, 0.5, 0.9, 1.0};
  const std::vector<double> delays = {0, 2, 3, 4};

  const std::vector<double> latencies = EmissionLatencies(emitted, delays, arrivals);

  ASSERT_EQ(latencies.size(), 4u);
  EXPECT_NEAR(latencies[0], 0.1, 1e-12);
  EXPECT_NEAR(latencies[1], 0.15, 1e-12);
  EXPECT_NEAR(latencies[2], 0.2, 1e-12);
  EXPECT_NEAR(latencies[3], 0.3, 1e-12);
}

TEST(LagTest, PercentileIsTheNearestRank) {
  std::vector<double> values;
  for (int i = 100; i >= 1; --i) values.push_back(i);

  EXPECT_NEAR(Percentile(values, 50), 50, 1e-12);
  EXPECT_NEAR(Percentile(values, 95), 95, 1e-12);
  EXPECT_NEAR(Percentile(values, 99), 99, 1e-12);
  EXPECT_NEAR(Percentile({7}, 1), 7, 1e-12);
  EXPECT_NEAR(Percentile({}, 50), 0, 1e-12);
}

}  // namespace
}  // namespace dragoman::model
