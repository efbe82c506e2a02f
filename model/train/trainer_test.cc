#include "model/train/trainer.h"

#include <unistd.h>

#include <cmath>
#include <filesystem>

#include "base/file.h"
#include "gtest/gtest.h"
#include "model/train/train_test_data.h"
#include "torch/torch.h"

namespace dragoman::model {
namespace {

std::unique_ptr<Trainer> MakeTrainer(const TrainConfig& config,
                                     const std::vector<Sample>* samples) {
  TransformerWeights weights = InitWeights(config.model, config.seed);
  if (config.lora.rank > 0) {
    AddAdapters(config.model, config.lora.rank, config.lora.alpha, config.seed, &weights);
  }
  auto trainer = Trainer::Create(config, config.model, samples, {"toy"}, {TinyTrainLayout()},
                                 std::move(weights));
  EXPECT_TRUE(trainer.ok()) << trainer.status();
  return std::move(*trainer);
}

std::string TempFolder(const std::string& name) {
  const std::string folder = absl::StrCat(testing::TempDir(), "/trainer_", getpid(), "_", name);
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  return folder;
}

std::vector<double> Losses(Trainer* trainer, int steps) {
  std::vector<double> losses;
  for (int i = 0; i < steps; ++i) losses.push_back(trainer->TrainStep()->loss_sum);
  return losses;
}

TEST(TrainerTest, T2_NoGradientReachesRowsOutsideTheLabels) {
  const ModelConfig model = TinyTrainModel();
  const TransformerWeights weights = InitWeights(model, 1);
  const RotaryTable rotary(model, model.max_positions, torch::kFloat32, torch::kCPU);
  const std::vector<Sample> samples = ToySamples(3, 1);
  const MicroBatch batch = Pack({&samples[0], &samples[1], &samples[2]}, {TinyTrainLayout()}, {});
  torch::Tensor hidden;
  {
    torch::NoGradGuard no_grad;
    hidden = RunTrainingForm(model, weights, rotary, batch.form, {});
  }
  hidden.requires_grad_(true);
  // All rows are projected; the loss must select the label rows only.
  torch::Tensor logits = ProjectToVocabulary(weights, hidden, {});
  logits.retain_grad();
  torch::nn::functional::cross_entropy(logits.index_select(0, batch.label_rows), batch.labels)
      .backward();

  const int64_t h = static_cast<int64_t>(TinyTrainLayout().target_header.size());
  for (int64_t s = 0; s < batch.form.samples; ++s) {
    const int64_t first = s * batch.form.columns + batch.form.source_columns + h - 1;
    const auto labels = static_cast<int64_t>(samples[s].target.size()) + 1;
    for (int64_t c = 0; c < batch.form.columns; ++c) {
      const int64_t row = s * batch.form.columns + c;
      const double size = logits.grad()[row].abs().sum().item<double>();
      if (row >= first && row < first + labels) {
        EXPECT_GT(size, 0) << "sample " << s << " column " << c;
      } else {
        EXPECT_EQ(size, 0) << "sample " << s << " column " << c;
      }
    }
  }
}

TEST(TrainerTest, T2_GradientsAreEqualForOneAndEightMicroBatches) {
  const std::vector<Sample> samples = ToySamples(64, 9);
  const ModelConfig model = TinyTrainModel();
  const RotaryTable rotary(model, model.max_positions, torch::kFloat32, torch::kCPU);
  const auto gradients = [&](size_t parts) {
    TransformerWeights weights = InitWeights(model, 2);
    for (const NamedParameter& parameter : ListParameters(weights)) {
      parameter.second.set_requires_grad(true);
    }
    std::vector<std::vector<const Sample*>> batches(parts);
    for (size_t i = 0; i < samples.size(); ++i) {
      batches[i * parts / samples.size()].push_back(&samples[i]);
    }
    const std::vector<MicroBatch> packed = PackAll(batches, {TinyTrainLayout()}, {}, 1);
    int64_t labels = 0;
    for (const MicroBatch& batch : packed) labels += batch.labels.size(0);
    for (const MicroBatch& batch : packed) {
      (SftLossSum(model, weights, rotary, batch, {}) / static_cast<double>(labels)).backward();
    }
    return ListParameters(weights);
  };

  const auto one = gradients(1), eight = gradients(8);

  for (size_t i = 0; i < one.size(); ++i) {
    const double size = one[i].second.grad().norm().item<double>();
    const double difference = (one[i].second.grad() - eight[i].second.grad()).norm().item<double>();
    EXPECT_LT(difference, 1e-5 * size + 1e-9) << one[i].first;
  }
}

TEST(TrainerTest, T2_GradientsEqualFiniteDifferences) {
  const std::vector<Sample> samples = ToySamples(2, 4);
  const ModelConfig model = TinyTrainModel();
  const RotaryTable rotary(model, model.max_positions, torch::kFloat64, torch::kCPU);
  TransformerWeights weights = InitWeights(model, 3);
  const MicroBatch batch = Pack({&samples[0], &samples[1]}, {TinyTrainLayout()}, {});
  // fp64, so that differences of a step of 1e-6 mean something.
  weights.embedding = weights.embedding.to(torch::kFloat64);
  weights.head = weights.embedding;
  weights.final_norm = weights.final_norm.to(torch::kFloat64);
  for (LayerWeights& layer : weights.layers) {
    for (torch::Tensor* tensor :
         {&layer.attention_norm, &layer.ffn_norm, &layer.qkv.weight, &layer.output.weight,
          &layer.gate_up.weight, &layer.down.weight}) {
      *tensor = tensor->to(torch::kFloat64);
    }
  }
  for (const NamedParameter& parameter : ListParameters(weights)) {
    parameter.second.set_requires_grad(true);
  }
  const auto loss = [&] { return SftLossSum(model, weights, rotary, batch, {}); };
  loss().backward();

  for (const NamedParameter& parameter : ListParameters(weights)) {
    torch::NoGradGuard no_grad;
    const int64_t index = parameter.second.numel() / 2;
    double* value = parameter.second.data_ptr<double>() + index;
    const double kept = *value, step = 1e-6;
    *value = kept + step;
    const double above = loss().item<double>();
    *value = kept - step;
    const double below = loss().item<double>();
    *value = kept;
    const double analytic = parameter.second.grad().contiguous().data_ptr<double>()[index];
    EXPECT_NEAR((above - below) / (2 * step), analytic, 1e-5 + 1e-4 * std::abs(analytic))
        << parameter.first;
  }
}

TEST(TrainerTest, T3_ResumeGivesTheSameLossesAsNoStop) {
  const std::vector<Sample> samples = ToySamples(300, 5);
  for (const bool fast : {false, true}) {
    TrainConfig config = TinyTrainConfig();
    config.dropout = 0.1;
    config.fused = fast;
    config.bfloat16 = fast;
    const std::string folder = TempFolder(fast ? "resume_fast" : "resume");
    const auto straight = MakeTrainer(config, &samples);
    Losses(straight.get(), 7);
    ASSERT_TRUE(straight->Save(folder).ok());
    const std::vector<double> expected = Losses(straight.get(), 20);

    config.seed = TinyTrainConfig().seed;
    const auto resumed = MakeTrainer(config, &samples);
    Losses(resumed.get(), 3);  // state that Resume() must replace
    std::vector<std::string> skipped;
    ASSERT_TRUE(*resumed->Resume(folder, &skipped));

    EXPECT_EQ(Losses(resumed.get(), 20), expected) << (fast ? "bf16 fused" : "fp32 plain");
    EXPECT_TRUE(skipped.empty());
    std::filesystem::remove_all(folder);
  }
}

TEST(TrainerTest, T3_SameSeedGivesTheSameBytesOfWeights) {
  const std::vector<Sample> samples = ToySamples(100, 5);
  const TrainConfig config = TinyTrainConfig();
  const auto first = MakeTrainer(config, &samples), second = MakeTrainer(config, &samples);

  Losses(first.get(), 10);
  Losses(second.get(), 10);

  const auto a = ListParameters(first->weights()), b = ListParameters(second->weights());
  for (size_t i = 0; i < a.size(); ++i) EXPECT_TRUE(torch::equal(a[i].second, b[i].second));
}

TEST(TrainerTest, T3_ADamagedNewestCheckpointIsSkipped) {
  const std::vector<Sample> samples = ToySamples(100, 5);
  const TrainConfig config = TinyTrainConfig();
  const std::string folder = TempFolder("damaged");
  const auto trainer = MakeTrainer(config, &samples);
  Losses(trainer.get(), 2);
  ASSERT_TRUE(trainer->Save(folder).ok());
  Losses(trainer.get(), 1);
  ASSERT_TRUE(trainer->Save(folder).ok());
  const std::string newest = folder + "/step-00000003/state.safetensors";
  std::string bytes = *ReadFile(newest);
  bytes[bytes.size() / 2] ^= 1;
  ASSERT_TRUE(WriteFileAtomically(newest, bytes).ok());

  std::vector<std::string> skipped;
  ASSERT_TRUE(*trainer->Resume(folder, &skipped));

  EXPECT_EQ(trainer->state().step, 2);
  EXPECT_EQ(skipped.size(), 1u);
  std::filesystem::remove_all(folder);
}

TEST(TrainerTest, T4_ScheduleDrawsDoNotDependOnWorkersOrBatches) {
  const std::vector<Sample> samples = ToySamples(60, 5);
  std::vector<std::vector<const Sample*>> batches(6);
  for (size_t i = 0; i < samples.size(); ++i) batches[i % 6].push_back(&samples[i]);
  PackOptions options;
  options.epoch = 3;

  const auto one = PackAll(batches, {TinyTrainLayout()}, options, 1);
  const auto four = PackAll(batches, {TinyTrainLayout()}, options, 4);

  for (size_t i = 0; i < one.size(); ++i) {
    EXPECT_TRUE(torch::equal(one[i].form.source_ends, four[i].form.source_ends));
    EXPECT_TRUE(torch::equal(one[i].labels, four[i].labels));
  }
  // The draw of a sample is the same in a batch of its own, and another in the next epoch.
  std::vector<int64_t> units, alone, later;
  int changed = 0;
  for (const Sample& sample : samples) {
    DrawSampleSchedule(sample, options, &units);
    DrawSampleSchedule(sample, options, &alone);
    EXPECT_EQ(units, alone);
    PackOptions next = options;
    next.epoch = 4;
    DrawSampleSchedule(sample, next, &later);
    changed += units != later;
  }
  EXPECT_GT(changed, 20);
}

TEST(TrainerTest, T5_LoraStartsAtTheBaseAndMergesToTheSameFunction) {
  const std::vector<Sample> samples = ToySamples(40, 5);
  TrainConfig config = TinyTrainConfig();
  config.lora.rank = 4;
  config.lora.alpha = 8;
  config.lora.dropout = 0;
  const auto trainer = MakeTrainer(config, &samples);
  const RotaryTable rotary(config.model, 128, torch::kFloat32, torch::kCPU);
  std::vector<const Sample*> pointers;
  for (const Sample& sample : samples) pointers.push_back(&sample);
  const MicroBatch batch = Pack(pointers, {TinyTrainLayout()}, {});
  const auto hidden = [&](const TransformerWeights& weights) {
    torch::NoGradGuard no_grad;
    return ProjectToVocabulary(weights,
                               RunTrainingForm(config.model, weights, rotary, batch.form, {}), {});
  };
  const TransformerWeights base = InitWeights(config.model, config.seed);
  EXPECT_EQ((hidden(trainer->weights()) - hidden(base)).abs().max().item<double>(), 0);

  Losses(trainer.get(), 20);
  const torch::Tensor unmerged = hidden(trainer->weights());
  EXPECT_GT((unmerged - hidden(base)).abs().max().item<double>(), 1e-2);
  const auto base_list = ListParameters(base);
  EXPECT_TRUE(torch::equal(trainer->weights().embedding, base.embedding));  // frozen
  TransformerWeights merged = trainer->weights();
  MergeAdapters(&merged);

  EXPECT_LT((hidden(merged) - unmerged).abs().max().item<double>(), 1e-4);
}

TEST(TrainerTest, LearningRateWarmsUpDecaysAndCoolsDown) {
  OptimizerConfig config;
  config.peak_lr = 1;
  config.warmup_steps = 100;

  EXPECT_NEAR(LearningRate(config, 49, 1000), 0.5, 1e-12);
  EXPECT_NEAR(LearningRate(config, 399, 1000), 0.5, 1e-12);  // sqrt(100 / 400)
  EXPECT_NEAR(LearningRate(config, 999, 1000), 0, 1e-12);
  config.decay = "constant";
  EXPECT_NEAR(LearningRate(config, 500, 1000), 1, 1e-12);
}

TEST(TrainerTest, NamesAnUnknownCorpusWeight) {
  const std::vector<Sample> samples = ToySamples(10, 5);
  TrainConfig config = TinyTrainConfig();
  config.corpus_weights["nowhere"] = 2;

  const absl::Status status = Trainer::Create(config, config.model, &samples, {"toy"},
                                              {TinyTrainLayout()}, InitWeights(config.model, 1))
                                  .status();

  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(status.message().find("nowhere"), absl::string_view::npos);
}

}  // namespace
}  // namespace dragoman::model
