#include "tests/support/tiny_model/tiny_model.h"

#include "gtest/gtest.h"
#include "model/package/model_package.h"
#include "tests/support/tiny_model/test_folder.h"

namespace dragoman::model {
namespace {

TEST(TinyModelTest, EveryArchitectureLoads) {
  for (const Architecture architecture :
       {Architecture::kLlama, Architecture::kQwen2, Architecture::kQwen3, Architecture::kPhi3}) {
    TinyModelOptions options;
    options.architecture = architecture;
    options.tied = architecture == Architecture::kQwen3;
    const TestFolder root;
    const std::string folder = root / "model";

    ASSERT_TRUE(MakeTinyPackage(folder, options).ok());
    const auto package = ModelPackage::Load(folder);

    ASSERT_TRUE(package.ok()) << package.status();
    EXPECT_EQ((*package)->config().architecture, architecture);
    EXPECT_EQ((*package)->config().qk_norm, architecture == Architecture::kQwen3);
    EXPECT_EQ((*package)->config().qkv_bias, architecture == Architecture::kQwen2);
  }
}

TEST(TinyModelTest, SameOptionsGiveTheSameWeightsAndAnotherSeedGivesOthers) {
  const TestFolder root;
  TinyModelOptions other;
  other.seed = 2;
  ASSERT_TRUE(MakeTinyPackage(root / "a").ok());
  ASSERT_TRUE(MakeTinyPackage(root / "b").ok());
  ASSERT_TRUE(MakeTinyPackage(root / "c", other).ok());

  const std::string a = (*ModelPackage::Load(root / "a"))->weights_digest();

  EXPECT_EQ((*ModelPackage::Load(root / "b"))->weights_digest(), a);
  EXPECT_NE((*ModelPackage::Load(root / "c"))->weights_digest(), a);
}

TEST(TinyModelTest, LayoutFollowsTheOptions) {
  const TestFolder root;
  TinyModelOptions options;
  options.with_tokenizer = true;
  options.header_tokens = 3;
  options.marker_tokens = 2;
  options.phi = 17;
  options.dtype = DType::kBF16;
  ASSERT_TRUE(MakeTinyPackage(root / "layout", options).ok());

  const auto package = ModelPackage::Load(root / "layout");
  ASSERT_TRUE(package.ok()) << package.status();
  const auto layout = (*package)->Layout("en", "fr");

  ASSERT_TRUE(layout.ok()) << layout.status();
  EXPECT_EQ(layout->prompt, (std::vector<TokenId>{1, 7, 3}));
  EXPECT_EQ(layout->target_header, (std::vector<TokenId>{7, 7, kTinyTarget}));
  EXPECT_EQ(layout->source_end, (std::vector<TokenId>{kTinySourceEnd, kTinySourceEnd}));
  EXPECT_EQ(layout->phi, 17);
  EXPECT_EQ(layout->max_positions, 256);
  EXPECT_EQ((*package)->config().vocab_size, 1000);
  EXPECT_EQ((*package)->manifest().sha256.count("tokenizer.model"), 1u);
  EXPECT_EQ((*package)->Layout("en", "it").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ((*package)->Layout("de", "fr").status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace dragoman::model
