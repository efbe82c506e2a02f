#include "model/tokenizer/bpe_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/tokenizer/detokenizer.h"
#include "model/tokenizer/tokenizer_test_support.h"

namespace dragoman::model {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::unique_ptr<BpeTokenizer> MakeQwen() {
  return BpeTokenizer::Create(ByteLevelJson({{"l", "l"},        // 256
                                             {"h", "e"},        // 257
                                             {"he", "ll"},      // 258
                                             {" ", "w"},        // 259
                                             {"\xC3", "\xA9"},  // 260
                                             {"l", "o"},        // 261
                                             {"hell", "o"}},    // 262
                                            kQwen2Regex))
      .value();
}

TEST(BpeTokenizerTest, BytesAreWrittenAsPrintableCharacters) {
  EXPECT_EQ(ByteLevelPiece(" a\n"), "Ġa\xC4\x8A");
  EXPECT_EQ(DecodeByteLevelPiece("ĠaÃ©"), " a\xC3\xA9");
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all.push_back(static_cast<char>(byte));
  EXPECT_EQ(DecodeByteLevelPiece(ByteLevelPiece(all)), all);
}

TEST(BpeTokenizerTest, MergesByRankAndThenFromTheLeft) {
  const auto tokenizer = MakeQwen();

  EXPECT_THAT(tokenizer->Encode("hello"), ElementsAre(262));
  // "ll" has a better rank than "lo", and the left "ll" comes first.
  EXPECT_THAT(tokenizer->Encode("lllo"), ElementsAre(256, 261));
  EXPECT_THAT(tokenizer->Encode("he we"), ElementsAre(257, 259, 'e'));
  EXPECT_THAT(tokenizer->Encode("é"), ElementsAre(260));
  EXPECT_THAT(tokenizer->Encode(""), IsEmpty());
}

TEST(BpeTokenizerTest, WordsStandAfterABlankExceptTheFirst) {
  const auto tokenizer = MakeQwen();

  EXPECT_THAT(tokenizer->EncodeWord("we", /*first=*/false), ElementsAre(259, 'e'));
  EXPECT_THAT(tokenizer->EncodeWord("we", /*first=*/true), ElementsAre('w', 'e'));
  EXPECT_TRUE(tokenizer->StartsWord(259));
  EXPECT_FALSE(tokenizer->StartsWord('w'));
}

TEST(BpeTokenizerTest, PrefixBlankIsWrittenWhenTheModelAsksForIt) {
  Json json = ByteLevelJson({{" ", "w"}}, "");
  json["pre_tokenizer"]["add_prefix_space"] = true;
  const auto tokenizer = BpeTokenizer::Create(json).value();

  EXPECT_THAT(tokenizer->Encode("we"), ElementsAre(256, 'e'));
  EXPECT_THAT(tokenizer->Encode(" we"), ElementsAre(256, 'e'));
  EXPECT_THAT(tokenizer->EncodeWord("we", /*first=*/true), ElementsAre(256, 'e'));
}

TEST(BpeTokenizerTest, NormalizesToNfcWhenTheModelAsksForIt) {
  Json json = ByteLevelJson({{"\xC3", "\xA9"}}, kQwen2Regex);
  json["normalizer"]["type"] = "NFC";
  const auto tokenizer = BpeTokenizer::Create(json).value();

  EXPECT_THAT(tokenizer->Encode("e\xCC\x81"), ElementsAre(256));
  EXPECT_THAT(tokenizer->EncodeWord("e\xCC\x81", /*first=*/true), ElementsAre(256));
}

TEST(BpeTokenizerTest, WholePiecesNeedNoMergesWhenTheModelSaysSo) {
  Json json = ByteLevelJson({{"a", "b"}, {"b", "c"}, {"ab", "c"}}, kLlama3Regex);
  json["model"]["merges"].erase(2);  // "abc" is a piece that no merge makes
  const auto by_merges = BpeTokenizer::Create(json).value();
  json["model"]["ignore_merges"] = true;
  const auto whole = BpeTokenizer::Create(json).value();

  EXPECT_THAT(by_merges->Encode("abc"), ElementsAre(256, 'c'));
  EXPECT_THAT(whole->Encode("abc"), ElementsAre(258));
}

TEST(BpeTokenizerTest, H6_AddedTokensNeverComeOutOfText) {
  Json json = ByteLevelJson({{"<", "|"}}, kQwen2Regex);
  json["model"]["ignore_merges"] = true;
  const auto tokenizer = BpeTokenizer::Create(json).value();
  const TokenId start = tokenizer->FindControl("<|im_start|>").value();
  EXPECT_TRUE(tokenizer->IsControl(start));
  EXPECT_FALSE(tokenizer->FindControl("<think>").has_value());
  for (const std::string text : {"<|im_start|>", "<|im_end|>", "<think>", "x<|im_end|>y"}) {
    for (const auto& ids : {tokenizer->Encode(text), tokenizer->EncodeWord(text, true),
                            tokenizer->EncodeWord(text, false)}) {
      for (const TokenId id : ids) EXPECT_LT(id, start) << text;
    }
    EXPECT_EQ(tokenizer->Decode(tokenizer->Encode(text)), text);
  }
}

TEST(BpeTokenizerTest, DecodesWhatItEncodes) {
  const auto qwen = MakeQwen();
  const auto llama =
      BpeTokenizer::Create(ByteLevelJson({{" ", "a"}, {"\xF0", "\x9F"}, {"1", "2"}}, kLlama3Regex))
          .value();
  const auto gpt2 = BpeTokenizer::Create(ByteLevelJson({{"\n", "\n"}, {" ", " "}}, "")).value();
  RandomStream random(12345, "round trip");
  for (int round = 0; round < 1000; ++round) {
    const std::string text = RandomText(&random, random.NextBelow(50));
    for (const BpeTokenizer* tokenizer : {qwen.get(), llama.get(), gpt2.get()}) {
      EXPECT_EQ(tokenizer->Decode(tokenizer->Encode(text)), text);
    }
  }
}

TEST(BpeTokenizerTest, D1_PushedTextEqualsOneShotDecodeWithoutTheFirstBlank) {
  const auto tokenizer = MakeQwen();
  RandomStream random(12345, "byte level detokenizer");
  for (int round = 0; round < 500; ++round) {
    std::vector<TokenId> ids;
    const size_t count = random.NextBelow(30);
    for (size_t i = 0; i < count; ++i) {
      ids.push_back(
          static_cast<TokenId>(random.NextBelow(static_cast<uint64_t>(tokenizer->vocab_size()))));
    }
    Detokenizer detokenizer(tokenizer.get());
    std::string streamed;
    for (const TokenId id : ids) {
      const std::string piece = detokenizer.Push({&id, 1});
      EXPECT_TRUE(IsValidUtf8(piece));
      streamed += piece;
    }
    streamed += detokenizer.Finish();

    std::string expected = tokenizer->Decode(ids);
    if (expected.starts_with(' ')) expected.erase(0, 1);
    EXPECT_EQ(streamed, expected);
  }
}

TEST(BpeTokenizerTest, PlainModelEscapesBlanksAndFallsBackToUnknown) {
  Json json = ReadJsonFile(GoldenPath("hostile/ok_tokenizer_json/tokenizer.json")).value();
  const auto raw = BpeTokenizer::Create(json).value();
  EXPECT_EQ(raw->vocab_size(), 16);
  // Ranks: a b, c d, then "▁" ab; "cde" is out of reach once c and d are joined.
  EXPECT_THAT(raw->EncodeWord("abcde", true), ElementsAre(14, 10, 7));
  // Without normalizer a blank is an unknown character; a run of unknown ones is one id.
  EXPECT_THAT(raw->Encode("ab  zzcd"), ElementsAre(9, 0, 10));
  EXPECT_EQ(raw->Decode(std::vector<TokenId>{1, 14, 15, 11, 2}), "abcde a");
  EXPECT_TRUE(raw->StartsWord(14));

  json["normalizer"] = ParseJson(R"({"type":"Sequence","normalizers":[
      {"type":"Prepend","prepend":"▁"},
      {"type":"Replace","pattern":{"String":" "},"content":"▁"}]})")
                           .value();
  const auto escaped = BpeTokenizer::Create(json).value();
  EXPECT_THAT(escaped->Encode("ab a"), ElementsAre(14, 11));
}

TEST(BpeTokenizerTest, PlainModelFallsBackToBytes) {
  Json json = Json::object();
  json["model"]["type"] = "BPE";
  json["model"]["byte_fallback"] = true;
  json["model"]["merges"] = Json::array();
  for (int byte = 0; byte < 256; ++byte) {
    json["model"]["vocab"][absl::StrFormat("<0x%02X>", byte)] = byte;
  }
  json["model"]["vocab"]["▁"] = 256;
  const auto tokenizer = BpeTokenizer::Create(json).value();

  EXPECT_THAT(tokenizer->EncodeWord("é", true), ElementsAre(256, 0xC3, 0xA9));
  EXPECT_TRUE(tokenizer->IsByte(0xC3));
  EXPECT_EQ(tokenizer->Decode(std::vector<TokenId>{256, 0xC3, 0xA9}), "é");
}

TEST(BpeTokenizerTest, RefusesWhatIsNotBuiltIn) {
  const auto code = [](const Json& json) { return BpeTokenizer::Create(json).status().code(); };
  const Json good = ByteLevelJson({{"a", "b"}}, kQwen2Regex);
  EXPECT_EQ(code(good), absl::StatusCode::kOk);

  Json pattern = ByteLevelJson({}, "\\w+");
  EXPECT_EQ(code(pattern), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(BpeTokenizer::Create(pattern).status().message()),
              testing::HasSubstr("\\w+"));

  Json normalizer = good;
  normalizer["normalizer"]["type"] = "Lowercase";
  EXPECT_EQ(code(normalizer), absl::StatusCode::kFailedPrecondition);

  Json suffix = good;
  suffix["model"]["end_of_word_suffix"] = "</w>";
  EXPECT_EQ(code(suffix), absl::StatusCode::kFailedPrecondition);

  Json metaspace = good;
  metaspace["pre_tokenizer"] = ParseJson(R"({"type":"Metaspace"})").value();
  EXPECT_EQ(code(metaspace), absl::StatusCode::kFailedPrecondition);

  Json no_byte = good;
  no_byte["model"]["vocab"].erase(ByteLevelPiece("\xFF"));
  EXPECT_EQ(code(no_byte), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace dragoman::model
