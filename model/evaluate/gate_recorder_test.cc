// Real streams through the real engine: what the recorder saw against what engine, statistics and
// thresholds say.
#include "model/evaluate/gate_recorder.h"

#include <cmath>

#include "base/clock.h"
#include "gtest/gtest.h"
#include "model/engine/engine.h"
#include "model/engine/token_traits.h"
#include "model/evaluate/corpus_translation.h"
#include "model/evaluate/skip_report.h"
#include "model/evaluate/token_classes.h"
#include "model/native/native_backbone.h"
#include "model/policy/policy.h"
#include "tests/support/tiny_model/test_folder.h"
#include "tests/support/tiny_model/tiny_model.h"
#include "tests/support/tiny_model/tiny_router.h"

namespace dragoman::model {
namespace {

constexpr size_t kLayers = 3;
constexpr float kOffset = -0.1f;

class GateRecorderTest : public ::testing::Test {
 protected:
  GateRecorderTest() {
    TinyModelOptions shape;
    shape.num_layers = kLayers;
    shape.with_tokenizer = true;
    shape.phi = 5;
    EXPECT_TRUE(MakeTinyPackage(folder_ / "model", shape).ok());
    package_ = *ModelPackage::Load(folder_ / "model");
    tokenizer_ = *LoadTokenizer(folder_ / "model");
    router_ = MakeTinyRouter(package_->config());
    recorder_ = std::make_unique<GateRecorder>(package_->config());
  }

  // Translates a few lines; `watched` with the recorder around the backbone.
  std::vector<TranslatedLine> Translate(const std::string& policy, bool watched = true) {
    BackendOptions options;
    options.num_threads = 1;
    options.max_pages = 400;
    options.gates = std::make_shared<const GateRule>(router_);
    options.record_scores = watched;
    auto backbone = *CreateNativeBackbone(*package_, options);
    if (watched) backbone = recorder_->Watch(std::move(backbone));
    EngineOptions engine_options;
    engine_options.max_sequences = 3;
    auto engine = *Engine::Create(engine_options, std::move(backbone),
                                  MakeTokenTraits(*tokenizer_, package_->config().vocab_size,
                                                  package_->manifest().end_of_target),
                                  &clock_, nullptr);
    CorpusTranslationOptions translation;
    translation.layout = *package_->Layout("en", "de");
    translation.policy = *ParsePolicy(policy);
    translation.routed = true;
    translation.skip_offset = kOffset;
    const std::vector<std::string> lines = {
        "I would like to go home now.", "She bought two books, for 42 euros!",
        "The train was late so we took a taxi.", "Good morning.",
        "A longer line that has many more words than the others, so that its rows reach a second "
        "place in the group."};
    return *TranslateCorpus(engine.get(), *tokenizer_, lines, translation);
  }
  SkipInspection Inspected() const {
    return Inspect(recorder_->streams(), router_,
                   ClassifyTokens(*tokenizer_, package_->config().vocab_size));
  }

  const TestFolder folder_;
  SystemClock clock_;
  std::unique_ptr<ModelPackage> package_;
  std::unique_ptr<Tokenizer> tokenizer_;
  Router router_;
  std::unique_ptr<GateRecorder> recorder_;
};

TEST_F(GateRecorderTest, TablesEqualARecountAndWhatTheEngineCounted) {
  const std::vector<TranslatedLine> lines = Translate("wait-k:2");
  const SkipInspection seen = Inspected();

  ASSERT_EQ(recorder_->streams().size(), lines.size());
  int64_t engine_skipped = 0;
  for (const TranslatedLine& line : lines) engine_skipped += line.modules_skipped;
  for (size_t g = 0; g < 2; ++g) {
    const RowGroup group = g == 0 ? RowGroup::kSource : RowGroup::kTarget;
    EXPECT_EQ(seen.rows[g], recorder_->statistics().rows(group));
    EXPECT_GT(seen.rows[g], 20);
    for (size_t l = 0; l < kLayers; ++l) {
      for (size_t m = 0; m < 2; ++m) {
        int64_t skipped = 0, rows = 0;
        for (const InspectedStream& stream : recorder_->streams()) {
          for (const InspectedRow& row : stream) {
            if (row.group != group) continue;
            ++rows;
            skipped += (row.gates[l] >> m & 1) == 0;
          }
        }
        EXPECT_EQ(seen.layer(g, l, m).rows, rows);
        EXPECT_EQ(seen.layer(g, l, m).skipped, skipped);
        EXPECT_DOUBLE_EQ(
            seen.layer(g, l, m).rate(),
            recorder_->statistics().SkipRate(group, static_cast<int64_t>(l), static_cast<int>(m)));
        engine_skipped -= skipped;
      }
    }
  }
  EXPECT_EQ(engine_skipped, 0);
  EXPECT_EQ(seen.layer(0, 0, 0).skipped, 0) << "layer 0 is exempt";
  EXPECT_GT(seen.layer(0, 1, 0).skipped + seen.layer(0, 1, 1).skipped, 0);
}

TEST_F(GateRecorderTest, PlacesAndClassesHoldEveryDecisionOnce) {
  Translate("wait-k:2");
  const SkipInspection seen = Inspected();

  for (size_t g = 0; g < 2; ++g) {
    for (size_t m = 0; m < 2; ++m) {
      int64_t layers = 0, places = 0, classes = 0;
      for (size_t l = 0; l < kLayers; ++l) {
        layers += seen.layer(g, l, m).skipped;
        for (size_t b = 0; b < kNumPositionBuckets; ++b) {
          places += seen.position(g, b, l, m).skipped;
        }
      }
      for (size_t c = 0; c < static_cast<size_t>(TokenClass::kFirstAfterRead); ++c) {
        classes += seen.token_class(g, c, m).skipped;
      }
      EXPECT_EQ(places, layers);
      EXPECT_EQ(classes, layers);
    }
    EXPECT_GT(seen.position(g, 1, 0, 0).rows, 0) << "a line reaches the second bucket";
  }
  const auto rows = [&](size_t group, TokenClass which) {
    return seen.token_class(group, static_cast<size_t>(which), 0).rows;
  };
  // One end-of-source marker a line, asked in every layer.
  EXPECT_EQ(rows(0, TokenClass::kTag), static_cast<int64_t>(5 * kLayers));
  EXPECT_GT(rows(0, TokenClass::kSentenceEnd), 0);
  EXPECT_GT(rows(0, TokenClass::kDigit), 0);
  EXPECT_EQ(rows(0, TokenClass::kFirstAfterRead), 0);
  EXPECT_GT(rows(1, TokenClass::kFirstAfterRead), 0);
}

TEST_F(GateRecorderTest, UnderTheSentencePolicyNoCountedRowComesAfterARead) {
  Translate("sentence");

  EXPECT_EQ(Inspected().token_class(1, static_cast<size_t>(TokenClass::kFirstAfterRead), 0).rows,
            0);
}

TEST_F(GateRecorderTest, GatesAreTheScoresOverTheThreshold) {
  Translate("wait-k:2");

  int decided = 0;
  for (const InspectedStream& stream : recorder_->streams()) {
    for (const InspectedRow& row : stream) {
      // The first row of a side and what stands before it are forced.
      EXPECT_EQ(row.group == RowGroup::kForced, row.index <= 0);
      if (row.scores.empty()) {
        EXPECT_EQ(row.group, RowGroup::kForced);  // a step of forced rows alone
        continue;
      }
      for (size_t l = 0; l < kLayers; ++l) {
        for (size_t m = 0; m < 2; ++m) {
          const float score = row.scores[2 * l + m];
          EXPECT_EQ(std::isnan(score), row.group == RowGroup::kForced || l == 0);
          if (std::isnan(score)) continue;
          EXPECT_EQ((row.gates[l] >> m & 1) != 0, score > kOffset);
          EXPECT_EQ(row.skip_offset, kOffset);
          ++decided;
        }
      }
    }
  }
  EXPECT_GT(decided, 200);
}

TEST_F(GateRecorderTest, WatchingChangesNothing) {
  const std::vector<TranslatedLine> watched = Translate("wait-k:2");
  const std::vector<TranslatedLine> alone = Translate("wait-k:2", /*watched=*/false);

  ASSERT_EQ(watched.size(), alone.size());
  for (size_t i = 0; i < watched.size(); ++i) {
    EXPECT_EQ(watched[i].tokens, alone[i].tokens);
    EXPECT_EQ(watched[i].modules_skipped, alone[i].modules_skipped);
  }
}

TEST_F(GateRecorderTest, RatesAreThoseOfTheStatistics) {
  Translate("wait-k:2");
  const SkipInspection seen = Inspected();

  const SkipRates rates = RatesOf(recorder_->statistics());

  double sum = 0;
  for (size_t l = 0; l < kLayers; ++l)
    sum += seen.layer(1, l, 0).rate() + seen.layer(1, l, 1).rate();
  EXPECT_NEAR(rates.claimed[1], sum / (2 * kLayers), 1e-12);
  EXPECT_NE(rates.parameter[1], rates.claimed[1]);
  EXPECT_GT(rates.flops, 0);
  EXPECT_LT(rates.flops, rates.claimed[0] + rates.claimed[1]);
}

}  // namespace
}  // namespace dragoman::model
