#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "model/tokenizer/tokenizer.h"
#include "model/tokenizer/tokenizer_test_support.h"

namespace dragoman::model {
namespace {

TEST(LoadTokenizerTest, H4_HostileFilesAreRefusedAsDamagedOrNotFitting) {
  const std::set<std::string> not_fitting = {"tok_type_unknown", "tok_regex_bomb"};
  int refused = 0;
  for (const auto& entry : std::filesystem::directory_iterator(GoldenPath("hostile"))) {
    const std::string id = entry.path().filename().string();
    if (id == "ok_tokenizer_json" || id == "tok_more_entries_than_embedding") continue;
    SCOPED_TRACE(id);

    const auto tokenizer = LoadTokenizer(entry.path().string());

    ASSERT_FALSE(tokenizer.ok());
    EXPECT_EQ(tokenizer.status().code(), not_fitting.count(id) != 0
                                             ? absl::StatusCode::kFailedPrecondition
                                             : absl::StatusCode::kDataLoss)
        << tokenizer.status();
    EXPECT_NE(std::string(tokenizer.status().message()).find(id + "/tokenizer."),
              std::string::npos);
    ++refused;
  }
  EXPECT_EQ(refused, 17);
}

TEST(LoadTokenizerTest, H4_SizeOfTheVocabularyIsTold) {
  // The owner of the model compares it with the embedding.
  EXPECT_EQ(
      LoadTokenizer(GoldenPath("hostile/tok_more_entries_than_embedding")).value()->vocab_size(),
      20);
  EXPECT_EQ(LoadTokenizer(GoldenPath("hostile/ok_tokenizer_json")).value()->vocab_size(), 16);
}

TEST(LoadTokenizerTest, H4_EveryTruncatedModelIsRefused) {
  const std::string content = ReadFile(GoldenPath("bpe_identity.model")).value();
  ASSERT_TRUE(SentencePieceTokenizer::Create(content).ok());
  // The settings stand behind the pieces, so no shorter file is a model.
  for (size_t size = 0; size < content.size(); size += 7) {
    EXPECT_EQ(SentencePieceTokenizer::Create(content.substr(0, size)).status().code(),
              absl::StatusCode::kDataLoss)
        << size;
  }
}

TEST(LoadTokenizerTest, H4_DamagedModelsNeverCrash) {
  const std::string content = ReadFile(GoldenPath("unigram_nfkc.model")).value();
  RandomStream random(12345, "damage");
  int refused = 0;
  for (int round = 0; round < 100; ++round) {
    std::string damaged = content;
    for (int i = 0; i < 20; ++i) {
      damaged[random.NextBelow(damaged.size())] = static_cast<char>(random.NextBelow(256));
    }
    const auto tokenizer = SentencePieceTokenizer::Create(damaged);
    if (!tokenizer.ok()) {
      ++refused;
      continue;
    }
    for (const TokenId id : (*tokenizer)->Encode("ﬁne Ünïcode ㍿ text\xFF")) {
      EXPECT_TRUE(id >= 0 && id < (*tokenizer)->vocab_size());
    }
  }
  EXPECT_GT(refused, 0);
}

TEST(LoadTokenizerTest, FolderWithoutTokenizerIsNotFound) {
  EXPECT_EQ(LoadTokenizer(GoldenPath("hostile")).status().code(), absl::StatusCode::kNotFound);
}

TEST(LoadTokenizerTest, WireReaderRefusesImpossibleFields) {
  const auto code = [](std::string_view bytes) {
    return SentencePieceTokenizer::Create(bytes).status().code();
  };
  EXPECT_EQ(code("\x0A\x05"
                 "ab"),
            absl::StatusCode::kDataLoss);                    // beyond the end
  EXPECT_EQ(code("\x02"), absl::StatusCode::kDataLoss);      // field 0
  EXPECT_EQ(code("\x0B"), absl::StatusCode::kDataLoss);      // group
  EXPECT_EQ(code("\x0D\x01"), absl::StatusCode::kDataLoss);  // short fixed32
  EXPECT_EQ(code("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace dragoman::model
