#include "model/evaluate/paced_translation.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/engine/token_traits.h"
#include "model/evaluate/evaluation.h"
#include "model/native/native_backbone.h"
#include "model/package/model_package.h"
#include "model/policy/policy.h"
#include "tests/support/tiny_model/test_folder.h"
#include "tests/support/tiny_model/tiny_model.h"

namespace dragoman::model {
namespace {

using ::testing::ElementsAreArray;

// Between two readings `step` passes, so a step of the engine takes that long.
class TickingClock final : public Clock {
 public:
  explicit TickingClock(Duration step) : step_(step) {}
  TimePoint Now() override { return now_ += step_; }
  bool WaitUntil(Mutex*, CondVar*, TimePoint, const std::function<bool()>& ready) override {
    return ready();
  }

 private:
  const Duration step_;
  TimePoint now_{};
};

class PacedTranslationTest : public ::testing::Test {
 protected:
  PacedTranslationTest() {
    TinyModelOptions shape;
    shape.with_tokenizer = true;
    EXPECT_TRUE(MakeTinyPackage(folder_ / "model", shape).ok());
    package_ = *ModelPackage::Load(folder_ / "model");
    tokenizer_ = *LoadTokenizer(folder_ / "model");
    options_.layout = *package_->Layout("en", "de");
    options_.policy = *ParsePolicy("wait-k:2");
  }

  std::unique_ptr<Engine> MakeEngine() {
    BackendOptions options;
    options.num_threads = 1;
    options.max_pages = 400;
    EngineOptions engine_options;
    engine_options.max_sequences = 3;
    return *Engine::Create(engine_options, *CreateNativeBackbone(*package_, options),
                           MakeTokenTraits(*tokenizer_, package_->config().vocab_size,
                                           package_->manifest().end_of_target),
                           &engine_clock_, nullptr);
  }
  std::vector<TranslatedLine> Speak(const Pace& pace, Duration step) {
    TickingClock clock(step);
    return *TranslatePaced(MakeEngine().get(), *tokenizer_, kLines, options_, pace, &clock);
  }

  const std::vector<std::string> kLines = {"I would like to go home now.", "Good morning.", "",
                                           "She bought two books, for 42 euros!",
                                           "The train was late so we took a taxi."};
  const TestFolder folder_;
  SystemClock engine_clock_;
  std::unique_ptr<ModelPackage> package_;
  std::unique_ptr<Tokenizer> tokenizer_;
  CorpusTranslationOptions options_;
};

TEST_F(PacedTranslationTest, SaysTheSameAsAllAtOnce) {
  const auto at_once = *TranslateCorpus(MakeEngine().get(), *tokenizer_, kLines, options_);
  for (const size_t speakers : {1, 3}) {
    const auto paced = Speak({0.35, speakers}, std::chrono::milliseconds(3));
    ASSERT_EQ(paced.size(), at_once.size());
    for (size_t i = 0; i < paced.size(); ++i) {
      EXPECT_EQ(paced[i].text, at_once[i].text);
      EXPECT_THAT(paced[i].delays, ElementsAreArray(at_once[i].delays));
      EXPECT_EQ(paced[i].emit_seconds.size(), paced[i].delays.size());
      EXPECT_EQ(static_cast<int64_t>(paced[i].arrival_seconds.size()), at_once[i].source_words);
      EXPECT_TRUE(paced[i].status.ok());
    }
  }
}

// An engine that takes no time emits a word in the moment in which its last source word is there,
// and lag in seconds is lag in words.
TEST_F(PacedTranslationTest, WithoutComputeLagInSecondsIsLagInWords) {
  const auto lines = Speak({0.5, 1}, Duration(0));

  for (const TranslatedLine& line : lines) {
    for (size_t i = 0; i < line.delays.size(); ++i) {
      EXPECT_NEAR(line.emit_seconds[i], 0.5 * static_cast<double>(line.delays[i]), 1e-9);
    }
  }
  const auto report = Evaluate(lines, kLines, false);
  ASSERT_TRUE(report.ok()) << report.status();
  ASSERT_TRUE(report->paced.has_value());
  EXPECT_GT(report->laal, 1);
  EXPECT_NEAR(report->paced->laal_ca, 0.5 * report->laal, 1e-9);
  EXPECT_NEAR(report->paced->p99, 0, 1e-9);
}

TEST_F(PacedTranslationTest, StepsTakeTheirTimeAndSpeakersWaitForEachOther) {
  const auto alone = *Evaluate(Speak({0.35, 1}, std::chrono::milliseconds(20)), kLines, false);
  const auto beside = *Evaluate(Speak({0.35, 3}, std::chrono::milliseconds(20)), kLines, false);

  EXPECT_GE(alone.paced->p50, 0.02);
  EXPECT_GT(alone.paced->laal_ca, 0.35 * alone.laal + 0.02);
  EXPECT_GT(beside.paced->p99, alone.paced->p50);
}

TEST_F(PacedTranslationTest, RefusesAPaceThatCannotBe) {
  TickingClock clock(Duration(0));
  for (const Pace& pace : {Pace{0, 1}, Pace{0.35, 0}, Pace{0.35, 4}}) {
    const auto lines =
        TranslatePaced(MakeEngine().get(), *tokenizer_, kLines, options_, pace, &clock);
    EXPECT_TRUE(absl::IsInvalidArgument(lines.status())) << lines.status();
  }
}

}  // namespace
}  // namespace dragoman::model
