// Whole runs through files: prepare, train, kill, resume, export, fine-tune.
#include "model/train/run.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "base/file.h"
#include "gtest/gtest.h"
#include "model/corpus/prepare.h"
#include "model/train/checkpoint.h"
#include "model/train/mode_translation.h"
#include "model/train/train_test_data.h"
#include "torch/torch.h"

namespace dragoman::model {
namespace {

class RunTest : public testing::Test {
 protected:
  RunTest() : folder_(absl::StrCat(testing::TempDir(), "/run_", getpid())) {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
    std::string text;
    const char* words[][2] = {{"red", "rot"},     {"green", "grün"}, {"house", "Haus"},
                              {"tree", "Baum"},   {"cat", "Katze"},  {"dog", "Hund"},
                              {"water", "Wasser"}};
    for (const auto& a : words) {
      for (const auto& b : words) {
        absl::StrAppend(&text, "de\tThe ", a[0], " ", b[0], " is here.\tDas ", a[1], " ", b[1],
                        " ist hier.\ttoy\tyes\n");
      }
    }
    EXPECT_TRUE(WriteFileAtomically(folder_ + "/pairs.tsv", text).ok());
    PrepareOptions prepare;
    prepare.inputs = {folder_ + "/pairs.tsv"};
    prepare.output = folder_ + "/data";
    prepare.vocabulary.vocab_size = 330;
    const auto manifest = Prepare(prepare);
    EXPECT_TRUE(manifest.ok()) << manifest.status();
    config_ = TinyTrainConfig();
    config_.data = folder_ + "/data";
    config_.output = folder_ + "/out";
    config_.max_steps = 12;
    config_.checkpoint_every = 4;
    config_.keep_checkpoints = 2;
    config_.fused = true;
    config_.demonstration_share = 0.5;
  }
  ~RunTest() override { std::filesystem::remove_all(folder_); }

  absl::Status Run() {
    RunOptions options;
    options.clock = &clock_;
    return RunTraining(config_, options);
  }

  const std::string folder_;
  TrainConfig config_;
  SystemClock clock_;
};

TEST_F(RunTest, TrainsEvaluatesAndExportsAPackageThatLoads) {
  config_.evaluate_every = 6;
  config_.dev_files = {folder_ + "/pairs.tsv"};
  config_.dev_pairs_per_file = 5;

  ASSERT_TRUE(Run().ok());

  const auto package = ModelPackage::Load(config_.output + "/package");
  ASSERT_TRUE(package.ok()) << package.status();
  EXPECT_EQ((*package)->manifest().target_languages, (std::vector<std::string>{"de"}));
  const std::string log = *ReadFile(config_.output + "/log.jsonl");
  EXPECT_NE(log.find("\"validation\""), std::string::npos);
  EXPECT_NE(log.find("\"bleu\""), std::string::npos);
  EXPECT_EQ(ListCheckpoints(config_.output + "/checkpoints").size(), 2u);
}

TEST_F(RunTest, T3_AKilledRunResumesToTheSameWeights) {
  // The child is forked before this process has used libtorch's threads.
  config_.output = folder_ + "/killed";
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    // Dies without warning after the checkpoint of step 8, in step 10.
    TrainConfig cut = config_;
    cut.max_steps = 12;
    RunOptions options;
    class DyingClock final : public Clock {
     public:
      TimePoint Now() override {
        if (++calls_ > 20) kill(getpid(), SIGKILL);
        return std::chrono::steady_clock::now();
      }
      bool WaitUntil(Mutex*, CondVar*, TimePoint, const std::function<bool()>&) override {
        return false;
      }

     private:
      int calls_ = 0;
    } clock;
    options.clock = &clock;
    (void)RunTraining(cut, options);
    _exit(0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status)) << "the run ended before it was killed";
  const std::vector<int64_t> left = ListCheckpoints(config_.output + "/checkpoints");
  ASSERT_FALSE(left.empty());
  EXPECT_LT(left.back(), 12);
  ASSERT_TRUE(Run().ok());

  const std::string resumed = *ReadFile(config_.output + "/package/model.safetensors");
  config_.output = folder_ + "/straight";
  ASSERT_TRUE(Run().ok());
  const std::string straight = *ReadFile(config_.output + "/package/model.safetensors");
  EXPECT_TRUE(resumed == straight) << "weights differ after kill and resume";
}

TEST_F(RunTest, FineTunesAPackageFullAndWithLora) {
  ASSERT_TRUE(Run().ok());
  const std::string base = config_.output + "/package";
  for (const int64_t rank : {0, 4}) {
    config_.init_from = base;
    config_.output = absl::StrCat(folder_, "/tuned", rank);
    config_.lora.rank = rank;
    ASSERT_TRUE(Run().ok());
    const auto package = ModelPackage::Load(config_.output + "/package");
    ASSERT_TRUE(package.ok()) << package.status();
    EXPECT_NE((*package)->weights_digest(), (*ModelPackage::Load(base))->weights_digest());
  }
}

TEST_F(RunTest, RefusesDataOfAnotherTokenizer) {
  ASSERT_TRUE(Run().ok());
  PrepareOptions prepare;
  prepare.inputs = {folder_ + "/pairs.tsv"};
  prepare.output = folder_ + "/other";
  prepare.vocabulary.vocab_size = 334;
  ASSERT_TRUE(Prepare(prepare).ok());
  config_.init_from = config_.output + "/package";
  config_.data = folder_ + "/other";
  config_.output = folder_ + "/out2";

  const absl::Status status = Run();

  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
}

TEST_F(RunTest, AnotherPhiThanTheBasesNeedsLeave) {
  ASSERT_TRUE(Run().ok());
  config_.init_from = config_.output + "/package";
  config_.output = folder_ + "/moved";
  config_.phi = 16;
  EXPECT_EQ(Run().code(), absl::StatusCode::kFailedPrecondition);

  config_.allow_phi_change = true;
  ASSERT_TRUE(Run().ok());

  const auto package = ModelPackage::Load(config_.output + "/package");
  ASSERT_TRUE(package.ok()) << package.status();
  EXPECT_EQ((*package)->manifest().phi, 16);
}

TEST_F(RunTest, APackageOfAnyModeIsTranslatedLineByLine) {
  config_.mode = "interleaved";
  ASSERT_TRUE(Run().ok());
  const auto package = ModelPackage::Load(config_.output + "/package");
  ASSERT_TRUE(package.ok()) << package.status();
  const auto tokenizer = LoadTokenizer(config_.output + "/package");
  ASSERT_TRUE(tokenizer.ok());
  ModeTranslationOptions options;
  options.mode = StreamMode::kInterleaved;
  options.k = 2;
  const auto translations = TranslateUnderMode(**package, **tokenizer, "de",
                                               {"The red cat is here.", "", "The dog."}, options);
  ASSERT_TRUE(translations.ok()) << translations.status();
  ASSERT_EQ(translations->size(), 3u);
  EXPECT_EQ((*translations)[0].line.source_words, 5);
  EXPECT_EQ((*translations)[1].line.text, "");
  EXPECT_GT((*translations)[2].source_rows, 0);
  for (const ModeTranslation& translation : *translations) {
    for (const int64_t delay : translation.line.delays) {
      EXPECT_LE(delay, translation.line.source_words);
    }
  }

  options.device = "abacus";
  EXPECT_EQ(TranslateUnderMode(**package, **tokenizer, "de", {"The dog."}, options).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(TrainConfigTest, RefusesModesThatDoNotExistOrDoNotGoTogether) {
  const auto status = [](const std::function<void(TrainConfig*)>& change) {
    TrainConfig config = TinyTrainConfig();
    change(&config);
    return config.Validate();
  };

  EXPECT_TRUE(status([](TrainConfig* config) { config->mode = "batch_streaming"; }).ok());
  EXPECT_TRUE(status([](TrainConfig* config) { config->positions = "no_source"; }).ok());
  const absl::Status unknown = status([](TrainConfig* config) { config->mode = "braided"; });
  EXPECT_NE(unknown.message().find("braided"), absl::string_view::npos) << unknown;
  EXPECT_FALSE(status([](TrainConfig* config) { config->positions = "some"; }).ok());
  EXPECT_FALSE(status([](TrainConfig* config) {
                 config->mode = "batch";
                 config->positions = "none";
               }).ok());
  EXPECT_FALSE(status([](TrainConfig* config) {
                 config->mode = "batch";
                 config->dev_files = {"dev.tsv"};
               }).ok());
}

TEST(TrainConfigTest, OverridesReplaceFieldsAndUnknownOnesAreNamed) {
  const std::string path = absl::StrCat(testing::TempDir(), "/overrides_", getpid(), ".json");
  ASSERT_TRUE(WriteFileAtomically(path, R"({"data": "x", "schedule": {"min_k": 2}})").ok());

  const auto config =
      ReadTrainConfig(path, {"data=runs/a b", "schedule.max_k=5", "optimizer.decay=linear"});
  const absl::Status unknown = ReadTrainConfig(path, {"schedule.mean_k=5"}).status();

  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->data, "runs/a b");
  EXPECT_EQ(config->schedule.min_k, 2);
  EXPECT_EQ(config->schedule.max_k, 5);
  EXPECT_EQ(config->optimizer.decay, "linear");
  EXPECT_NE(unknown.message().find("mean_k"), absl::string_view::npos) << unknown;
  EXPECT_FALSE(ReadTrainConfig(path, {"data"}).ok());
  EXPECT_FALSE(ReadTrainConfig(path, {"data.x=1"}).ok());
  std::filesystem::remove(path);
}

TEST(TrainConfigTest, RefusesUnknownFieldsAndNamesThem) {
  const std::string path = absl::StrCat(testing::TempDir(), "/config_", getpid(), ".json");
  ASSERT_TRUE(WriteFileAtomically(path, R"({"data": "x", "optimizer": {"peek_lr": 1}})").ok());

  const absl::Status status = ReadTrainConfig(path).status();

  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(status.message().find("optimizer"), absl::string_view::npos) << status;
  EXPECT_NE(status.message().find("peek_lr"), absl::string_view::npos) << status;
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace dragoman::model
