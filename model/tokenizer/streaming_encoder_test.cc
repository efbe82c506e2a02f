#include "model/tokenizer/streaming_encoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "model/tokenizer/tokenizer_test_support.h"

namespace dragoman::model {
namespace {

using testing::ElementsAre;

std::unique_ptr<SentencePieceTokenizer> LoadUnigram() {
  return LoadGoldenModel("unigram_nfkc.model");
}

// One line per word: text, "|" for a cut before, "#" boundary, "~" length.
std::vector<std::string> Describe(const std::vector<EncodedWord>& words) {
  std::vector<std::string> lines;
  for (const EncodedWord& word : words) {
    lines.push_back((word.cut_before ? "|" : "") + word.text +
                    (word.cut == WordCut::kBoundary ? "#"
                     : word.cut == WordCut::kLength ? "~"
                                                    : ""));
  }
  return lines;
}

std::vector<EncodedWord> EncodeChunks(const Tokenizer& tokenizer,
                                      const std::vector<std::string>& chunks,
                                      const StreamingEncoderOptions& options = {}) {
  StreamingEncoder encoder(&tokenizer, "en", options);
  std::vector<EncodedWord> words;
  for (const std::string& chunk : chunks) encoder.Push(chunk, &words);
  encoder.CompleteWord(&words);
  EXPECT_EQ(encoder.words_completed(), words.size());
  return words;
}

TEST(StreamingEncoderTest, GivesAWordWhenWhiteSpaceFollows) {
  const auto tokenizer = LoadUnigram();
  StreamingEncoder encoder(tokenizer.get(), "en", {});
  std::vector<EncodedWord> words;

  encoder.Push("The ca", &words);
  EXPECT_THAT(Describe(words), ElementsAre("The"));
  encoder.Push("t ", &words);
  EXPECT_THAT(Describe(words), ElementsAre("The", "cat"));

  EXPECT_EQ(words[1].tokens, tokenizer->EncodeWord("cat", false));
  EXPECT_EQ(words[0].byte_end, 3u);
  EXPECT_EQ(words[1].byte_end, 7u);
  EXPECT_EQ(encoder.bytes_received(), 8u);
}

TEST(StreamingEncoderTest, ClosesSegmentsAtSentencesAndBlankLines) {
  const auto tokenizer = LoadUnigram();

  EXPECT_THAT(Describe(EncodeChunks(*tokenizer, {"Dr. Who left. A title\n\nText\nwraps. End"})),
              ElementsAre("Dr.", "Who", "left.#", "A", "title#", "Text", "wraps.#", "End"));
}

TEST(StreamingEncoderTest, BlankLineAfterATrailingBlankCutsBeforeTheNextWord) {
  const auto tokenizer = LoadUnigram();

  EXPECT_THAT(Describe(EncodeChunks(*tokenizer, {"A title \n \n\nText. \n\nMore"})),
              ElementsAre("A", "title", "|Text.#", "More"));
}

TEST(StreamingEncoderTest, OneLineFeedClosesWhenAsked) {
  const auto tokenizer = LoadUnigram();
  StreamingEncoderOptions options;
  options.newline_is_boundary = true;

  EXPECT_THAT(Describe(EncodeChunks(*tokenizer, {"one two\nthree \nfour"}, options)),
              ElementsAre("one", "two#", "three", "|four"));
}

TEST(StreamingEncoderTest, WithoutAutomaticSegmentsOnlyLengthCuts) {
  const auto tokenizer = LoadUnigram();
  StreamingEncoderOptions options;
  options.automatic_segments = false;
  options.newline_is_boundary = true;
  options.hard_segment_words = 3;

  EXPECT_THAT(Describe(EncodeChunks(*tokenizer, {"a. b\n\nc d"}, options)),
              ElementsAre("a.", "b", "c~", "d"));
}

TEST(StreamingEncoderTest, AWordBeforeALineFeedWaitsOnlyForTheNextCharacter) {
  const auto tokenizer = LoadUnigram();
  StreamingEncoder encoder(tokenizer.get(), "en", {});
  std::vector<EncodedWord> words;

  encoder.Push("line\n", &words);
  EXPECT_TRUE(words.empty());
  encoder.Push("n", &words);
  EXPECT_THAT(Describe(words), ElementsAre("line"));

  encoder.Push("ext\n", &words);
  encoder.CompleteWord(&words);
  EXPECT_THAT(Describe(words), ElementsAre("line", "next"));
}

TEST(StreamingEncoderTest, ResetSegmentRestartsTheCounters) {
  const auto tokenizer = LoadUnigram();
  StreamingEncoderOptions options;
  options.hard_segment_words = 2;
  StreamingEncoder encoder(tokenizer.get(), "en", options);
  std::vector<EncodedWord> words;

  encoder.Push("a ", &words);
  encoder.ResetSegment();
  encoder.Push("b c ", &words);

  EXPECT_THAT(Describe(words), ElementsAre("a", "b", "c~"));
}

TEST(StreamingEncoderTest, TheFirstWordOfASegmentIsEncodedAsSuch) {
  const auto tokenizer = BpeTokenizer::Create(ByteLevelJson({{" ", "a"}}, kQwen2Regex)).value();

  const auto words = EncodeChunks(*tokenizer, {"a aa. a a"});

  EXPECT_THAT(words[0].tokens, ElementsAre('a'));
  EXPECT_THAT(words[1].tokens, ElementsAre(256, 'a', '.'));
  EXPECT_THAT(words[2].tokens, ElementsAre('a'));
  EXPECT_THAT(words[3].tokens, ElementsAre(256));
}

TEST(StreamingEncoderTest, WordsThatNormalizeToNothingAreNoWords) {
  const auto tokenizer = LoadUnigram();

  const auto words = EncodeChunks(*tokenizer, {"a \u200B \uFEFF b"});

  EXPECT_THAT(Describe(words), ElementsAre("a", "b"));
}

TEST(StreamingEncoderTest, P8_AnyChunkingGivesTheSameWordsTokensAndCuts) {
  const auto tokenizer = LoadUnigram();
  RandomStream random(12345, "chunking");
  for (int round = 0; round < 1000; ++round) {
    StreamingEncoderOptions options;
    options.newline_is_boundary = random.NextBelow(3) == 0;
    options.automatic_segments = random.NextBelow(5) != 0;
    options.hard_segment_words = static_cast<uint32_t>(3 + random.NextBelow(5));
    options.soft_segment_words = 3;
    options.max_word_bytes = 4 + random.NextBelow(20);
    std::string bytes = RandomText(&random, 1 + random.NextBelow(80));
    bytes[random.NextBelow(bytes.size())] = static_cast<char>(random.NextBelow(256));
    std::vector<std::string> chunks;
    for (size_t begin = 0; begin < bytes.size();) {
      const size_t length = random.NextBelow(7);
      chunks.push_back(bytes.substr(begin, length));
      begin += length;
    }

    const auto whole = EncodeChunks(*tokenizer, {bytes}, options);
    const auto split = EncodeChunks(*tokenizer, chunks, options);

    ASSERT_EQ(Describe(split), Describe(whole)) << "round " << round;
    for (size_t i = 0; i < whole.size(); ++i) {
      EXPECT_EQ(split[i].tokens, whole[i].tokens);
      EXPECT_EQ(split[i].byte_end, whole[i].byte_end);
      EXPECT_FALSE(whole[i].tokens.empty());
    }
  }
}

TEST(StreamingEncoderTest, H5_OneMegabyteWithoutBlanksIsCutIntoBoundedWords) {
  const auto tokenizer = LoadUnigram();
  StreamingEncoder encoder(tokenizer.get(), "en", {});
  std::vector<EncodedWord> words;
  size_t bytes = 0;
  const std::string chunk(1000, 'x');
  for (int i = 0; i < 1000; ++i) {
    encoder.Push(chunk, &words);
    for (const EncodedWord& word : words) {
      EXPECT_LE(word.text.size(), 4096u);
      bytes += word.text.size();
    }
    words.clear();
  }
  encoder.CompleteWord(&words);
  for (const EncodedWord& word : words) bytes += word.text.size();

  EXPECT_EQ(bytes, 1000000u);
  EXPECT_EQ(encoder.words_completed(), 245u);  // 1000000 / 4096, rounded up
}

TEST(StreamingEncoderTest, H5_AMillionEmptyChunksChangeNothing) {
  const auto tokenizer = LoadUnigram();
  StreamingEncoder encoder(tokenizer.get(), "en", {});
  std::vector<EncodedWord> words;
  encoder.Push("caf\xC3", &words);
  for (int i = 0; i < 1000000; ++i) encoder.Push({}, &words);
  encoder.Push("\xA9 ", &words);

  EXPECT_THAT(Describe(words), ElementsAre("café"));
}

TEST(StreamingEncoderTest, H5_HostileBytesHaveADefinedResult) {
  const auto tokenizer = LoadGoldenModel("bpe_identity.model");
  const std::string mark = "\xEF\xBF\xBD";

  const auto words = EncodeChunks(
      *tokenizer, {"\xEF\xBB\xBF"
                   "a",
                   std::string("\0b\x1B[31m", 7), " \xED\xA0\x80\xED\xB0\x80 ", "\x80\xFE\xFF ",
                   "\u202E"
                   "c\uFEFF"});

  EXPECT_THAT(Describe(words),
              ElementsAre("ab[31m", mark + mark + mark + mark + mark + mark, mark + mark + mark,
                          "\u202E"
                          "c\uFEFF"));
}

}  // namespace
}  // namespace dragoman::model
