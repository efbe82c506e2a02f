// Attention to the source as the rows of a step report it (model/api/step_batch.h).
#include <cmath>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/conformance/backbone_conformance.h"

namespace dragoman::model {
namespace {

using absl::StatusCode;

const std::vector<AttentionHead> kHeads = {{.layer = 1, .head = 3}, {.layer = 0, .head = 0}};

// A case one row at a time.
std::vector<Attention> Alone(Backbone* backbone, const GroupCase& one,
                             const std::vector<AttentionHead>& heads) {
  StreamDriver stream(backbone, one.prompt, one.phi);
  stream.AskForAttention(heads);
  stream.FeedSource(one.source_side);
  for (size_t i = 0; i < one.target_side.size(); ++i) {
    stream.FeedTarget(one.target_side[i], one.src_vis[i]);
  }
  return stream.attention();
}

TEST_P(BackboneConformance, AttentionCoversTheVisibleSourceAndIsAPartOfOne) {
  Use({});
  for (int i = 0; i < 10; ++i) {
    RandomStream random = Random("attention", i);
    const GroupCase one = MakeCase(RandomShape(&random), vocab(), &random);
    const std::vector<Attention> rows = Alone(backbone(), one, kHeads);
    ASSERT_EQ(rows.size(), one.target_side.size());
    for (size_t r = 0; r < rows.size(); ++r) {
      ASSERT_EQ(rows[r].size(), static_cast<size_t>(one.src_vis[r])) << "case " << i;
      double sum = 0;
      for (const float weight : rows[r]) {
        EXPECT_GT(weight, 0.0f);
        sum += static_cast<double>(weight);
      }
      // The row itself is a key too.
      EXPECT_LT(sum, 1.0);
    }
  }
}

TEST_P(BackboneConformance, AttentionOfSeveralHeadsIsTheMeanOfEach) {
  Use({});
  RandomStream random = Random("mean attention");
  const GroupCase one = MakeCase(RandomShape(&random), vocab(), &random);
  const std::vector<Attention> both = Alone(backbone(), one, kHeads);
  const std::vector<Attention> first = Alone(backbone(), one, {kHeads[0]});
  const std::vector<Attention> second = Alone(backbone(), one, {kHeads[1]});
  bool differ = false;
  for (size_t r = 0; r < both.size(); ++r) {
    for (size_t k = 0; k < both[r].size(); ++k) {
      EXPECT_NEAR(both[r][k], (first[r][k] + second[r][k]) / 2, 1e-6f) << "row " << r;
      differ = differ || std::fabs(first[r][k] - second[r][k]) > 1e-4f;
    }
  }
  EXPECT_TRUE(differ) << "two heads look the same, so nothing was checked";
}

// Many streams in one step, source and target rows mixed, are each stream alone.
TEST_P(BackboneConformance, AttentionOfAPackedStepEqualsEachRowAlone) {
  Use({}, /*poison=*/true);
  RandomStream random = Random("packed attention");
  constexpr int kStreams = 6;
  std::vector<GroupCase> cases;
  std::vector<std::unique_ptr<StreamDriver>> streams;
  StepBatch batch;
  for (int i = 0; i < kStreams; ++i) {
    cases.push_back(MakeCase(RandomShape(&random), vocab(), &random));
    const GroupCase& one = cases.back();
    streams.push_back(std::make_unique<StreamDriver>(backbone(), one.prompt, one.phi));
    // One of them does not ask, which must not move the others.
    if (i != 2) streams.back()->AskForAttention(kHeads);
    streams.back()->AddSource(one.source_side, &batch);
    for (size_t r = 0; r < one.target_side.size(); ++r) {
      streams.back()->AddTarget(one.target_side[r], one.src_vis[r], &batch);
    }
  }
  StepOutput output;
  ASSERT_TRUE(backbone()->Forward(batch, &output).ok());
  for (int i = 0; i < kStreams; ++i) {
    streams[i]->TakeLogits(batch, output);
    const std::vector<Attention>& packed = streams[i]->attention();
    if (i == 2) {
      for (const Attention& row : packed) EXPECT_TRUE(row.empty());
      continue;
    }
    ExpectSame(packed, Alone(backbone(), cases[i], kHeads), absl::StrCat("stream ", i));
  }
}

TEST_P(BackboneConformance, AskingForAttentionDoesNotChangeLogits) {
  Use({});
  RandomStream random = Random("attention and logits");
  const GroupCase one = MakeCase(RandomShape(&random), vocab(), &random);
  StreamDriver asks(backbone(), one.prompt, one.phi), twin(backbone(), one.prompt, one.phi);
  asks.AskForAttention(kHeads);
  for (StreamDriver* stream : {&asks, &twin}) {
    stream->FeedSource(one.source_side);
    for (size_t i = 0; i < one.target_side.size(); ++i) {
      stream->FeedTarget(one.target_side[i], one.src_vis[i]);
    }
  }
  EXPECT_EQ(asks.logits(), twin.logits());
}

TEST_P(BackboneConformance, AttentionThatCannotBeGivenIsRefusedAndChangesNothing) {
  Use({});
  StreamDriver stream(backbone(), 1, 0);
  stream.FeedSource({1, 2, 3});
  StepOutput output;
  const StepRow target = {.token = 4,
                          .stream = stream.id(),
                          .side = Side::kTarget,
                          .position = 0,
                          .src_vis = 2,
                          .want_attention = true};
  const StepRow source = {.token = 4, .stream = stream.id(), .position = 3, .want_attention = true};
  const auto refuses = [&](const StepRow& row, std::vector<AttentionHead> heads) {
    const StepBatch batch{.rows = {row}, .attention_heads = std::move(heads)};
    return backbone()->Forward(batch, &output).code() == StatusCode::kInvalidArgument;
  };
  EXPECT_TRUE(refuses(target, {}));
  EXPECT_TRUE(refuses(source, kHeads));
  EXPECT_TRUE(refuses(target, {{.layer = 2, .head = 0}}));
  EXPECT_TRUE(refuses(target, {{.layer = -1, .head = 0}}));
  EXPECT_TRUE(refuses(target, {{.layer = 0, .head = 4}}));
  EXPECT_TRUE(refuses(target, {{.layer = 0, .head = -1}}));
  EXPECT_EQ(backbone()->Lengths(stream.id())->source_side, 3);
  EXPECT_EQ(backbone()->Lengths(stream.id())->target_side, 0);
  EXPECT_FALSE(refuses(target, kHeads));
}

}  // namespace
}  // namespace dragoman::model
