// Behaviour of the engine as its users see it, on the hash backbone and without a thread.
#include "model/engine/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/engine/engine_harness.h"
#include "model/engine/hash_model.h"

namespace dragoman::model {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

SourceWord Word(std::vector<TokenId> tokens, SegmentCut cut = SegmentCut::kNone) {
  return {.tokens = std::move(tokens), .cut = cut};
}

// Three words of one, two and one token, then a second segment of one word.
std::vector<SourceAction> TwoSegments() {
  return ActionsOf({Word({8}), Word({10, 11}), Word({12}, SegmentCut::kBoundary), Word({14, 15})});
}

TEST(EngineTest, EchoedSourceIsCommittedWordByWordWithItsDelays) {
  const TestModel model = MakeHashModel(1, {.script = EchoSource(MakeFakeVocabulary().layout)});

  EXPECT_THAT(DescribeEvents(TranslateAlone(model, "wait-k:1", TwoSegments())),
              ElementsAre("word 1.1 [8] read 1 / 1", "word 1.2 [10 11] read 2 / 2",
                          "word 1.3 [12] read 3 / 3",
                          "segment 1 cut 1 guard 0 client 0 source 3 words 4 tokens up to 3 target "
                          "3 words 4 tokens rows 8 probes 3 waits 3",
                          "word 2.1 [14 15] read 1 / 4",
                          "segment 2 cut 3 guard 0 client 0 source 1 words 2 tokens up to 4 target "
                          "1 words 2 tokens rows 4 probes 1 waits 1",
                          "ended OK"));
}

TEST(EngineTest, SentencePolicyReadsTheWholeSegmentFirst) {
  const TestModel model = MakeHashModel(1, {.script = EchoSource(MakeFakeVocabulary().layout)});

  EXPECT_THAT(DescribeEvents(TranslateAlone(model, "sentence", TwoSegments())),
              ElementsAre("word 1.1 [8] read 3 / 3", "word 1.2 [10 11] read 3 / 3",
                          "word 1.3 [12] read 3 / 3",
                          "segment 1 cut 1 guard 0 client 0 source 3 words 4 tokens up to 3 target "
                          "3 words 4 tokens rows 5 probes 0 waits 0",
                          "word 2.1 [14 15] read 1 / 4",
                          "segment 2 cut 3 guard 0 client 0 source 1 words 2 tokens up to 4 target "
                          "1 words 2 tokens rows 3 probes 0 waits 0",
                          "ended OK"));
}

}  // namespace
}  // namespace dragoman::model
