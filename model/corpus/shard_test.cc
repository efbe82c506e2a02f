#include "model/corpus/shard.h"

#include <unistd.h>

#include <filesystem>

#include "base/file.h"
#include "gtest/gtest.h"

namespace dragoman::model {
namespace {

Sample MakeSample(int seed) {
  Sample sample;
  sample.source = {seed, seed + 1, seed + 2};
  sample.source_words = {1, 2};
  sample.target = {seed + 7};
  sample.target_words = {1};
  return sample;
}

class ShardTest : public testing::Test {
 protected:
  ShardTest() : folder_(absl::StrCat(testing::TempDir(), "/shards_", getpid())) {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
  }
  ~ShardTest() override { std::filesystem::remove_all(folder_); }

  void WriteThree() {
    ShardWriter writer(folder_, /*samples_per_shard=*/2);
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(writer.Append(MakeSample(100 * i)).ok());
    ShardManifest manifest;
    manifest.source_language = "en";
    manifest.languages = {"de"};
    manifest.corpora = {"x"};
    manifest.tokenizer_file = "tokenizer.model";
    manifest.drops = {{"empty", 4}};
    ASSERT_TRUE(writer.Finish(manifest).ok());
  }

  const std::string folder_;
};

TEST_F(ShardTest, ReadsBackWhatWasWritten) {
  WriteThree();

  const absl::StatusOr<ShardSet> set = ReadShards(folder_);

  ASSERT_TRUE(set.ok()) << set.status();
  ASSERT_EQ(set->samples.size(), 3u);
  EXPECT_EQ(set->manifest.shards.size(), 2u);
  EXPECT_EQ(set->manifest.source_tokens, 9u);
  EXPECT_EQ(set->manifest.drops.at("empty"), 4u);
  EXPECT_EQ(set->samples[2].id, 2u);
  EXPECT_EQ(set->samples[2].source, (std::vector<TokenId>{200, 201, 202}));
  EXPECT_EQ(set->samples[2].source_words, (std::vector<uint16_t>{1, 2}));
}

TEST_F(ShardTest, RefusesAFlippedByteAndACutFile) {
  WriteThree();
  const std::string path = folder_ + "/shard-00000.bin";
  const std::string bytes = *ReadFile(path);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    std::string damaged = bytes;
    damaged[i] ^= 0x10;
    ASSERT_TRUE(WriteFileAtomically(path, damaged).ok());
    EXPECT_EQ(ReadShards(folder_).status().code(), absl::StatusCode::kDataLoss) << i;
  }
  ASSERT_TRUE(WriteFileAtomically(path, bytes.substr(0, bytes.size() - 1)).ok());
  EXPECT_EQ(ReadShards(folder_).status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(ShardTest, UnfinishedPreparationIsNotFound) {
  ShardWriter writer(folder_);
  ASSERT_TRUE(writer.Append(MakeSample(1)).ok());

  EXPECT_EQ(ReadShards(folder_).status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace dragoman::model
