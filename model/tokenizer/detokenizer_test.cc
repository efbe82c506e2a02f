#include "model/tokenizer/detokenizer.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "model/tokenizer/tokenizer_test_support.h"
#include "model/tokenizer/unicode_text.h"

namespace dragoman::model {
namespace {

// Pushes the ids in pieces of random size; every message is checked.
std::string Stream(const Tokenizer& tokenizer, const std::vector<TokenId>& ids,
                   RandomStream* random) {
  Detokenizer detokenizer(&tokenizer);
  std::string text;
  for (size_t begin = 0; begin < ids.size();) {
    const size_t count = std::min<size_t>(ids.size() - begin, 1 + random->NextBelow(4));
    const std::span<const TokenId> part(ids.data() + begin, count);
    const std::string preview = detokenizer.Peek(part);
    const std::string message = detokenizer.Push(part);
    EXPECT_EQ(preview, message);
    EXPECT_TRUE(IsValidUtf8(message));
    text += message;
    begin += count;
  }
  const std::string tail = detokenizer.Finish();
  EXPECT_TRUE(IsValidUtf8(tail));
  return text + tail;
}

TEST(DetokenizerTest, D1_ConcatenatedStableTextEqualsOneShotDecode) {
  RandomStream random(12345, "D1");
  for (const char* name : kGoldenModels) {
    const auto tokenizer = LoadGoldenModel(name);
    const Json cases = GoldenCases(name);
    for (const Json& item : cases["encode"]) {
      EXPECT_EQ(Stream(*tokenizer, item["ids"].get<std::vector<TokenId>>(), &random),
                item["decoded"].get<std::string>());
    }
    for (const Json& item : cases["decode"]) {
      EXPECT_EQ(Stream(*tokenizer, item["ids"].get<std::vector<TokenId>>(), &random),
                item["text"].get<std::string>())
          << DumpJson(item);
    }
    for (int round = 0; round < 1000; ++round) {
      std::vector<TokenId> ids;
      const size_t count = random.NextBelow(40);
      for (size_t i = 0; i < count; ++i) {
        // Half of them byte pieces, so that sequences break in all ways.
        ids.push_back(random.NextBelow(2) == 0
                          ? static_cast<TokenId>(9 + random.NextBelow(256))
                          : static_cast<TokenId>(
                                random.NextBelow(static_cast<uint64_t>(tokenizer->vocab_size()))));
      }
      EXPECT_EQ(Stream(*tokenizer, ids, &random), tokenizer->Decode(ids));
    }
  }
}

// The rule of the reference decoder, written in another way: a byte that begins no well-formed
// sequence is one U+FFFD by itself.
std::string ReplaceByteByByte(const std::string& bytes) {
  std::string text;
  for (size_t i = 0; i < bytes.size();) {
    const size_t length = Utf8SequenceLength(std::string_view(bytes).substr(i));
    text += length == 0 ? std::string(kReplacementCharacter) : bytes.substr(i, length);
    i += std::max<size_t>(1, length);
  }
  return text;
}

TEST(DetokenizerTest, D2_AllBytePiecesInRandomOrderFollowTheReplacementRule) {
  const auto tokenizer = LoadGoldenModel("unigram_nfkc.model");
  RandomStream random(12345, "D2");
  for (int round = 0; round < 200; ++round) {
    std::vector<int> order(256);
    for (int i = 0; i < 256; ++i) order[static_cast<size_t>(i)] = i;
    for (size_t i = 255; i > 0; --i) std::swap(order[i], order[random.NextBelow(i + 1)]);
    std::vector<TokenId> ids;
    std::string bytes;
    for (const int byte : order) {
      ids.push_back(9 + byte);
      bytes.push_back(static_cast<char>(byte));
    }

    EXPECT_EQ(Stream(*tokenizer, ids, &random), ReplaceByteByByte(bytes));
  }
}

TEST(DetokenizerTest, D2_MaximalBadSequenceIsOneMarkForByteLevelModels) {
  const auto tokenizer = BpeTokenizer::Create(ByteLevelJson({}, kQwen2Regex)).value();
  RandomStream random(12345, "D2 byte level");
  const auto stream = [&](const std::string& bytes) {
    std::vector<TokenId> ids;
    for (const char c : bytes) ids.push_back(static_cast<unsigned char>(c));
    return Stream(*tokenizer, ids, &random);
  };

  EXPECT_EQ(stream("\xF0\x9F"
                   "a"),
            "\xEF\xBF\xBD"
            "a");
  EXPECT_EQ(stream("\xED\xA0\x80"), "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
  EXPECT_EQ(stream("\xE2\x96"), "\xEF\xBF\xBD");
}

TEST(DetokenizerTest, HoldsIncompleteCharacters) {
  const auto tokenizer = LoadGoldenModel("unigram_nfkc.model");
  Detokenizer detokenizer(tokenizer.get());
  const auto push = [&](TokenId id) { return detokenizer.Push({&id, 1}); };

  EXPECT_EQ(push(9 + 0xF0), "");
  EXPECT_EQ(push(9 + 0x9F), "");
  EXPECT_EQ(push(9 + 0x91), "");
  EXPECT_EQ(push(9 + 0x8D), "\xF0\x9F\x91\x8D");
}

TEST(DetokenizerTest, DropsTheFirstBlankOfEverySegment) {
  const auto tokenizer = LoadGoldenModel("unigram_nfkc.model");
  Detokenizer detokenizer(tokenizer.get());
  const std::vector<TokenId> ids = tokenizer->EncodeWord("Hallo", true);

  EXPECT_EQ(detokenizer.Push(ids), "Hallo");
  EXPECT_EQ(detokenizer.Finish(), "");
  EXPECT_EQ(detokenizer.Push(ids), "Hallo");
  EXPECT_EQ(detokenizer.Push(ids), " Hallo");
}

TEST(DetokenizerTest, PeekChangesNothing) {
  const auto tokenizer = LoadGoldenModel("unigram_nfkc.model");
  Detokenizer detokenizer(tokenizer.get());
  const std::vector<TokenId> head = {9 + 0xC3};
  const std::vector<TokenId> tail = {9 + 0xA9};
  EXPECT_EQ(detokenizer.Push(head), "");

  EXPECT_EQ(detokenizer.Peek(tail), "é");
  EXPECT_EQ(detokenizer.Peek(tail), "é");
  EXPECT_EQ(detokenizer.Push(tail), "é");
}

}  // namespace
}  // namespace dragoman::model
