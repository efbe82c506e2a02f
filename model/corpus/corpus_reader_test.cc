#include "model/corpus/corpus_reader.h"

#include <lzma.h>
#include <unistd.h>

#include "base/file.h"
#include "gtest/gtest.h"

namespace dragoman::model {
namespace {

std::string WriteTemp(const std::string& name, const std::string& content) {
  const std::string path = absl::StrCat(testing::TempDir(), "/corpus_", getpid(), "_", name);
  EXPECT_TRUE(WriteFileAtomically(path, content).ok());
  return path;
}

std::string Xz(const std::string& text) {
  std::string out(text.size() + 1024, '\0');
  size_t size = 0;
  EXPECT_EQ(lzma_easy_buffer_encode(6, LZMA_CHECK_CRC64, nullptr,
                                    reinterpret_cast<const uint8_t*>(text.data()), text.size(),
                                    reinterpret_cast<uint8_t*>(out.data()), &size, out.size()),
            LZMA_OK);
  out.resize(size);
  return out;
}

TEST(CorpusReaderTest, ReadsTabSeparatedPairsPlainAndCompressed) {
  const std::string text =
      "de\tGood morning.\tGuten Morgen.\ttatoeba\tyes\nfr\tNo.\tNon.\twmt\tno\n";
  for (const std::string& path : {WriteTemp("a.tsv", text), WriteTemp("b.tsv.xz", Xz(text))}) {
    std::vector<SentencePair> pairs;
    ASSERT_TRUE(ReadPairs(path, "en", [&](SentencePair pair) { pairs.push_back(pair); }).ok());

    ASSERT_EQ(pairs.size(), 2u);
    EXPECT_EQ(pairs[0].target, "Guten Morgen.");
    EXPECT_EQ(pairs[0].corpus, "tatoeba");
    EXPECT_TRUE(pairs[0].may_ship);
    EXPECT_FALSE(pairs[1].may_ship);
  }
}

TEST(CorpusReaderTest, ReadsJsonLines) {
  const std::string path =
      WriteTemp("c.jsonl", R"({"src":"Yes.","tgt":"Ja.","src_lang":"en","tgt_lang":"de"})"
                           "\n");
  std::vector<SentencePair> pairs;

  ASSERT_TRUE(ReadPairs(path, "xx", [&](SentencePair pair) { pairs.push_back(pair); }).ok());

  ASSERT_EQ(pairs.size(), 1u);
  EXPECT_EQ(pairs[0].source_language, "en");
}

TEST(CorpusReaderTest, NamesFileAndLineOfABadLine) {
  const std::string path = WriteTemp("d.tsv", "de\tA\tB\nde only\n");

  const absl::Status status = ReadPairs(path, "en", [](SentencePair) {});

  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(status.message().find("line 2"), absl::string_view::npos) << status;
}

TEST(CorpusReaderTest, RefusesATruncatedArchive) {
  const std::string whole = Xz("de\tA\tB\n");
  const std::string path = WriteTemp("e.tsv.xz", whole.substr(0, whole.size() - 8));

  EXPECT_EQ(ReadPairs(path, "en", [](SentencePair) {}).code(), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace dragoman::model
