// T1: what the trainer learns is what the engine decodes.
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "gtest/gtest.h"
#include "model/engine/engine.h"
#include "model/torch/torch_backbone.h"
#include "model/train/train_test_data.h"
#include "model/train/trainer.h"
#include "torch/torch.h"

namespace dragoman::model {
namespace {

// Target tokens of each sample, decoded through the engine.
class DecodeSink final : public SequenceSink {
 public:
  void OnEvent(SequenceId, SequenceEvent event) override {
    if (const auto* word = std::get_if<WordCommitted>(&event)) {
      tokens.insert(tokens.end(), word->tokens.begin(), word->tokens.end());
    } else if (const auto* ended = std::get_if<SequenceEnded>(&event)) {
      status = ended->status;
    }
  }
  std::vector<TokenId> tokens;
  absl::Status status = absl::UnknownError("has not ended");
};

TEST(LearningTest, T1_TwoHundredPairsAreLearntAndDecodedBackExactly) {
  const std::vector<Sample> samples = ToySamples(200, 11);
  TrainConfig config = TinyTrainConfig();
  config.fused = true;
  config.optimizer.peak_lr = 6e-3;
  config.max_steps = 2500;
  config.schedule.min_k = 3;  // wait-1 and wait-2 cannot know every word of the pair
  config.schedule.random_path = 0;
  config.schedule.full = 0.4;
  auto trainer = Trainer::Create(config, config.model, &samples, {"toy"}, {TinyTrainLayout()},
                                 InitWeights(config.model, config.seed));
  ASSERT_TRUE(trainer.ok()) << trainer.status();
  double loss = 1e9;
  while ((*trainer)->state().step < config.max_steps && loss > 0.002) {
    ASSERT_TRUE((*trainer)->TrainStep().ok());
    if ((*trainer)->state().step % 100 == 0) {
      loss = std::max(*(*trainer)->DevLoss(samples, {Schedule::Kind::kWaitK, 3}),
                      *(*trainer)->DevLoss(samples, {Schedule::Kind::kFull, 0}));
    }
  }
  EXPECT_LT(loss, 0.01);

  const std::string folder = absl::StrCat(testing::TempDir(), "/learning_", getpid());
  const auto package =
      WriteToyPackage((*trainer)->model(), (*trainer)->weights(), TinyTrainLayout(), folder);
  ASSERT_TRUE(package.ok()) << package.status();
  TokenTraits traits;
  traits.flags.assign(64, TokenTraits::kWordStart);
  for (TokenId id = 52; id < 60; ++id) traits.flags[id] = 0;  // second tokens of words
  for (TokenId id = 0; id < 8; ++id) traits.flags[id] = TokenTraits::kSuppressed;
  traits.flags[TinyTrainLayout().end_of_target] = 0;
  SystemClock clock;
  for (const char* name : {"wait-k:3", "sentence"}) {
    const std::shared_ptr<const Policy> policy = std::move(*ParsePolicy(name));
    BackendOptions backend;
    backend.max_pages = PagesForSlots(32, 128, 128);
    EngineOptions options;
    options.max_sequences = 32;
    auto engine = Engine::Create(options, std::move(*CreateTorchBackbone(**package, backend)),
                                 traits, &clock, nullptr);
    ASSERT_TRUE(engine.ok()) << engine.status();
    int wrong = 0;
    for (size_t begin = 0; begin < samples.size(); begin += 32) {
      std::vector<DecodeSink> sinks(std::min<size_t>(32, samples.size() - begin));
      for (size_t i = 0; i < sinks.size(); ++i) {
        const SequenceId id =
            *(*engine)->Open({TinyTrainLayout(), policy, false, false}, &sinks[i]);
        std::vector<SourceWord> words;
        for (const TokenId token : samples[begin + i].source) words.push_back({{token}});
        ASSERT_TRUE((*engine)->Append(id, std::move(words)).ok());
        ASSERT_TRUE((*engine)->Finish(id).ok());
      }
      while ((*engine)->RunOneStep()) {
      }
      for (size_t i = 0; i < sinks.size(); ++i) {
        EXPECT_TRUE(sinks[i].status.ok()) << sinks[i].status;
        wrong += sinks[i].tokens != samples[begin + i].target;
      }
    }
    EXPECT_EQ(wrong, 0) << name;
  }
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace dragoman::model
