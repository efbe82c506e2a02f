// G8: the table of the worked example in streaming.md section 2, and its k = 2 and full variants,
// out of the book-keeping that every backbone shares.
#include "base/json.h"
#include "gtest/gtest.h"
#include "model/kv_cache/kv_cache.h"
#include "tests/conformance/group_case.h"

namespace dragoman::model {
namespace {

using Counts = std::vector<int32_t>;

SegmentShape Example(int32_t k) {
  SegmentShape shape;
  shape.prompt = 3;
  shape.source_words = {1, 2, 2};  // The | cats | sleep.
  shape.target_words = {1, 2, 3};  // Die | Katzen | schlafen.
  shape.k = k;
  return shape;
}

// Feeds the case in the order of reading and writing and returns the keys seen by each target row.
Counts KeysSeen(const GroupCase& one, int64_t vocab) {
  KvCache cache({.max_pages = 16, .vocab_size = vocab, .max_positions = 128});
  const StreamId stream = *cache.Open(64, 64, one.phi);
  EXPECT_TRUE(cache.SetPrompt(stream, one.prompt).ok());
  Counts keys;
  int32_t fed = 0;
  std::vector<RowPlacement> places;
  for (size_t i = 0; i < one.target_side.size(); ++i) {
    StepBatch batch;
    for (; fed < one.prompt + one.src_vis[i]; ++fed) {
      batch.rows.push_back({one.source_side[fed], stream, Side::kSource, fed, -1, false});
    }
    batch.rows.push_back({one.target_side[i], stream, Side::kTarget,
                          one.phi + static_cast<int32_t>(i), one.src_vis[i], true});
    const absl::Status status = cache.Append(batch, &places);
    EXPECT_TRUE(status.ok()) << status;
    if (!status.ok()) return keys;
    keys.push_back(places.back().keys.size());
  }
  return keys;
}

TEST(LayoutTableTest, G8_TheExampleOfSectionTwoIsReproducedExactly) {
  const SegmentShape shape = Example(1);
  RandomStream random(1, "G8");

  EXPECT_EQ((Counts{UnitTokens(shape, 0), UnitTokens(shape, 1), UnitTokens(shape, 2),
                    UnitTokens(shape, 3), UnitTokens(shape, 4)}),
            (Counts{0, 1, 3, 5, 6}));
  EXPECT_EQ(SourceVisibility(shape), (Counts{1, 3, 3, 5, 5, 5, 6}));
  // p + src_vis + i + 1
  EXPECT_EQ(KeysSeen(MakeCase(shape, 96, &random), 96), (Counts{5, 8, 9, 12, 13, 14, 16}));
}

TEST(LayoutTableTest, G8_VariantsForKTwoAndFullSentence) {
  RandomStream random(2, "G8");

  EXPECT_EQ(SourceVisibility(Example(2)), (Counts{3, 5, 5, 6, 6, 6, 6}));
  EXPECT_EQ(KeysSeen(MakeCase(Example(2), 96, &random), 96), (Counts{7, 10, 11, 13, 14, 15, 16}));
  EXPECT_EQ(SourceVisibility(Example(0)), Counts(7, 6));
  EXPECT_EQ(KeysSeen(MakeCase(Example(0), 96, &random), 96), (Counts{10, 11, 12, 13, 14, 15, 16}));
}

TEST(LayoutTableTest, G8_HeaderRowsBeforeTheLastSeeNoSource) {
  SegmentShape shape = Example(1);
  shape.header = 3;
  EXPECT_EQ(SourceVisibility(shape), (Counts{0, 0, 1, 3, 3, 5, 5, 5, 6}));
}

// The golden cases were made from the same sections by another implementation.
TEST(LayoutTableTest, G8_AgreesWithTheGoldenLayouts) {
  const auto cases =
      ReadJsonFile(std::string(DRAGOMAN_SOURCE_DIR) + "/tests/golden/backbone/group_cases.json");
  ASSERT_TRUE(cases.ok()) << cases.status();
  ASSERT_EQ(cases->at("cases").size(), 6u);
  for (const Json& json : cases->at("cases")) {
    SegmentShape shape;
    shape.prompt = json.at("prompt_tokens").get<int32_t>();
    shape.source_words = json.at("source_word_token_counts").get<Counts>();
    shape.marker = json.at("marker_tokens").get<int32_t>();
    shape.header = json.at("header_tokens").get<int32_t>();
    shape.target_words = json.at("target_word_token_counts").get<Counts>();
    shape.phi = json.at("phi").get<int32_t>();
    shape.k = json.at("k").is_null() ? 0 : json.at("k").get<int32_t>();

    const Counts wanted = json.at("src_vis").get<Counts>();
    EXPECT_EQ(SourceVisibility(shape), wanted);
    const GroupCase one = {json.at("a_tokens").get<Counts>(), json.at("b_tokens").get<Counts>(),
                           wanted, shape.prompt, shape.phi};
    const Counts keys = KeysSeen(one, 96);
    ASSERT_EQ(keys.size(), wanted.size());
    for (size_t i = 0; i < keys.size(); ++i) {
      EXPECT_EQ(keys[i], shape.prompt + wanted[i] + static_cast<int32_t>(i) + 1);
      EXPECT_EQ(json.at("b_positions")[i].get<int32_t>(), shape.phi + static_cast<int32_t>(i));
    }
  }
}

}  // namespace
}  // namespace dragoman::model
