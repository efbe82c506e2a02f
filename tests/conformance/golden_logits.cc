// Logits of an independent implementation (tests/golden/backbone): plain causal layout and group
// positions, for eight models of all architectures.
#include <algorithm>
#include <cmath>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "base/json.h"
#include "tests/conformance/backbone_conformance.h"
#include "tests/conformance/npy_file.h"

namespace dragoman::model {
namespace {

constexpr char kGolden[] = DRAGOMAN_SOURCE_DIR "/tests/golden/backbone/";
constexpr char kHostile[] = DRAGOMAN_SOURCE_DIR "/tests/golden/package/hostile/";
constexpr const char* kModels[] = {
    "llama_untied", "llama_tied",      "llama_gqa_llama3rope", "llama_gqa_llama3rope_bf16",
    "qwen2_bias",   "qwen2_bias_bf16", "qwen3_qknorm",         "phi3_fused"};
// Noise of float32 is about 1e-5 here; the smallest mistake that the data can show is 6e-4.
constexpr double kTolerance = 1e-4;
constexpr double kClearGap = 2e-4;

size_t Best(const float* row, int64_t size) {
  return static_cast<size_t>(std::max_element(row, row + size) - row);
}

double Gap(const float* row, int64_t size) {
  std::vector<float> sorted(row, row + size);
  std::nth_element(sorted.begin(), sorted.begin() + 1, sorted.end(), std::greater<>());
  return static_cast<double>(sorted[0]) - sorted[1];
}

// All rows of one golden file against what a backbone gives.
class GoldenRows {
 public:
  explicit GoldenRows(double allowed_error) : allowed_error_(allowed_error) {}

  void Expect(const float* got, const float* wanted, int64_t size, const std::string& what) {
    double worst = 0;
    for (int64_t i = 0; i < size; ++i) {
      const double difference = static_cast<double>(got[i]) - wanted[i];
      worst = std::max(worst, std::fabs(difference));
      squared_error_ += difference * difference;
      squares_ += static_cast<double>(wanted[i]) * wanted[i];
    }
    EXPECT_TRUE(std::isfinite(worst)) << what;
    if (allowed_error_ > 0) return;
    EXPECT_LE(worst, kTolerance) << what;
    if (Gap(wanted, size) > kClearGap) {
      EXPECT_EQ(Best(got, size), Best(wanted, size)) << what;
    }
  }
  void ExpectError(const std::string& what) const {
    EXPECT_GT(squares_, 0) << what;
    if (allowed_error_ > 0) {
      EXPECT_LE(std::sqrt(squared_error_ / squares_), allowed_error_) << what;
    }
  }

 private:
  const double allowed_error_;
  double squared_error_ = 0, squares_ = 0;
};

std::unique_ptr<ModelPackage> LoadModel(const std::string& folder) {
  absl::StatusOr<std::unique_ptr<ModelPackage>> package = ModelPackage::Load(folder, false);
  EXPECT_TRUE(package.ok()) << package.status();
  return package.ok() ? *std::move(package) : nullptr;
}

std::vector<TokenId> Tokens(const Json& list) { return list.get<std::vector<TokenId>>(); }

TEST_P(BackboneConformance, G7_G10_PlainLayoutGivesTheLogitsOfHuggingFace) {
  const Json sequences = *ReadJsonFile(absl::StrCat(kGolden, "sequences.json"));
  for (const std::string model : kModels) {
    const auto package = LoadModel(kGolden + model);
    ASSERT_NE(package, nullptr);
    const auto backbone = MakeBackbone(*package);
    const auto wanted = ReadNpyMatrix(kGolden + model + "/logits.npy");
    ASSERT_TRUE(wanted.ok()) << wanted.status();
    GoldenRows golden(GetParam().golden_error);
    int64_t row = 0;
    for (const Json& sequence : sequences.at("sequences")) {
      StreamDriver stream(backbone.get(), 0, 0);
      StepBatch batch;
      stream.AddSource(Tokens(sequence), &batch);
      for (StepRow& one : batch.rows) one.want_logits = true;
      StepOutput output;
      ASSERT_TRUE(backbone->Forward(batch, &output).ok());
      for (size_t i = 0; i < output.num_rows(); ++i, ++row) {
        golden.Expect(output.row(i), wanted->row(row), wanted->columns,
                      absl::StrCat(model, ", row ", row));
      }
    }
    EXPECT_EQ(row, wanted->rows) << model;
    golden.ExpectError(model);
  }
}

TEST_P(BackboneConformance, G1_G10_GroupPositionsGiveTheLogitsOfHuggingFace) {
  const Json cases = *ReadJsonFile(absl::StrCat(kGolden, "group_cases.json"));
  for (const std::string model : kModels) {
    const auto package = LoadModel(kGolden + model);
    ASSERT_NE(package, nullptr);
    const auto backbone = MakeBackbone(*package);
    const auto wanted = ReadNpyMatrix(kGolden + model + "/group_logits.npy");
    ASSERT_TRUE(wanted.ok()) << wanted.status();
    GoldenRows golden(GetParam().golden_error);
    for (size_t c = 0; c < cases.at("cases").size(); ++c) {
      const Json& json = cases.at("cases")[c];
      const GroupCase one = {Tokens(json.at("a_tokens")), Tokens(json.at("b_tokens")),
                             json.at("src_vis").get<std::vector<int32_t>>(),
                             json.at("prompt_tokens").get<int32_t>(),
                             json.at("phi").get<int32_t>()};
      const int64_t first =
          cases.at("row_offsets")[c].get<int64_t>() + static_cast<int64_t>(one.source_side.size());
      const std::vector<Logits> streamed = StreamCase(backbone.get(), one);
      const std::vector<Logits> at_once = OneCall(backbone.get(), one);
      ASSERT_EQ(streamed.size(), one.target_side.size());
      for (size_t i = 0; i < streamed.size(); ++i) {
        const std::string what = absl::StrCat(model, ", case ", c, ", row ", i);
        const float* row = wanted->row(first + static_cast<int64_t>(i));
        golden.Expect(streamed[i].data(), row, wanted->columns, what + " streamed");
        golden.Expect(at_once[i].data(), row, wanted->columns, what + " at once");
      }
    }
    golden.ExpectError(model);
  }
}

// 3e38 in the embedding: finite weights whose square is not. The rows come back, whatever they
// hold; ending the stream is the engine's business. Other streams stay clean.
TEST_P(BackboneConformance, H8_OverflowingWeightsNeverCrash) {
  const TestFolder folder;
  std::error_code error;
  for (const char* file : {"ok_base/config.json", "weights_huge/model.safetensors"}) {
    const std::filesystem::path from = std::filesystem::path(kHostile) / file;
    std::filesystem::copy_file(from, folder / from.filename().string(), error);
    ASSERT_FALSE(error) << error.message();
  }
  const auto package = LoadModel(folder.path());
  ASSERT_NE(package, nullptr);
  const auto backbone = MakeBackbone(*package);
  const int64_t vocab = package->config().vocab_size;
  int finite_rows = 0;
  for (TokenId token = 0; token < vocab; ++token) {
    StreamDriver stream(backbone.get(), 0, 0, 8);
    stream.FeedSource({token});
    const Logits& logits = stream.FeedTarget(token, 1);
    ASSERT_EQ(logits.size(), static_cast<size_t>(vocab));
    if (std::all_of(logits.begin(), logits.end(), [](float x) { return std::isfinite(x); })) {
      ++finite_rows;
    }
  }
  EXPECT_GE(finite_rows, 1);
}

}  // namespace
}  // namespace dragoman::model
